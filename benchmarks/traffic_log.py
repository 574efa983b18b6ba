"""Generate access logs of a flood as CloudFront writes them, the same for the same seed."""

import random
import zlib
from collections.abc import Iterator
from pathlib import Path

from chalicelib.domain.traffic.lines import FIELDS, GZIP

HEADER = f"#Version: 1.0\n#Fields: {' '.join(FIELDS)}\n"
# A person reads a page with its assets, then goes on or leaves.
ASSETS = ("/static/shop-3f2a9c1d.css", "/static/shop-77e0b1aa.js", "/static/product-0c9d8e7f.css")
PHONE = (
    "Mozilla/5.0%20(iPhone;%20CPU%20iPhone%20OS%20{v}_{w}%20like%20Mac%20OS%20X)%20AppleWebKit/605.1.15%20"
    "(KHTML,%20like%20Gecko)%20Version/{v}.{w}%20Mobile/15E148%20Safari/604.1"
)
DESK = (
    "Mozilla/5.0%20(Windows%20NT%2010.0;%20Win64;%20x64)%20AppleWebKit/537.36%20(KHTML,%20like%20Gecko)%20"
    "Chrome/{v}.0.0.0%20Safari/537.36"
)
ANDROID = (
    "Mozilla/5.0%20(Linux;%20Android%20{w};%20K)%20AppleWebKit/537.36%20(KHTML,%20like%20Gecko)%20"
    "Chrome/{v}.0.0.0%20Mobile%20Safari/537.36"
)
BOTS = (
    "Mozilla/5.0%20(compatible;%20Googlebot/2.1;%20+http://www.google.com/bot.html)",
    "Mozilla/5.0%20(compatible;%20bingbot/2.0;%20+http://www.bing.com/bingbot.htm)",
    "python-requests/2.32.3",
)
REFERRERS = (
    "https://www.google.com/",
    "https://www.instagram.com/",
    "https://news.example/flood?id=1",
    "https://t.co/abc",
)
PRODUCTS = 60


# Path, method, status, bytes.
Request = tuple[str, str, str, int]


def lines(count: int, *, seed: int = 1, hour: str = "2026-11-27\t10") -> Iterator[str]:
    """Return log lines of one hour, in the order in which visits begin.

    Args:
        count: how many lines.
        seed: of the random numbers.
        hour: date and hour, with a tab between them.
    """
    rng = random.Random(seed)
    date, _, hour_of_day = hour.partition("\t")
    agents = [PHONE.format(v=v, w=w) for v in range(15, 20) for w in range(8)]
    agents += [DESK.format(v=v) for v in range(110, 150)]
    agents += [ANDROID.format(v=v, w=w) for v in range(110, 150) for w in (10, 13, 14, 15)]
    made = 0
    while made < count:
        ip = f"{rng.randrange(1, 224)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        bot = rng.random() < 0.05
        agent = rng.choice(BOTS) if bot else rng.choice(agents)
        referrer = "-" if bot or rng.random() < 0.4 else rng.choice(REFERRERS)
        second = int(3_000 * swell(made / count))
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            time = f"{hour_of_day}:{second // 60:02d}:{second % 60:02d}"
            for stem, method, status, size in _page(rng, bot=bot):
                result = "Miss" if method == "POST" or rng.random() < 0.04 else "Hit"
                sent = size + rng.randrange(200)
                own = f"{time}\t{sent}\t{ip}\t{referrer}\t{agent}"
                yield f"{own}\t{date}\t{method}\t{stem}\t{status}\t{result}\n"
                made += 1
                if made >= count:
                    return
            referrer = "https://shop.example/"
            second = min(3_599, second + rng.randrange(5, 60))


def _page(rng: random.Random, *, bot: bool) -> Iterator[Request]:
    """Return the requests of one page view."""
    slug = f"product-{min(PRODUCTS - 1, int(rng.expovariate(0.12)))}"
    page = f"/products/{slug}" if rng.random() < 0.8 else rng.choice(("/", "/shop/all", "/pages/about"))
    yield page, "GET", rng.choice(("200", "200", "304")), 4_800
    if rng.random() < 0.01:
        yield f"/wp-{rng.randrange(40)}.php", "GET", "404", 1_900
    if bot:
        return
    for asset in rng.sample(ASSETS, rng.randrange(len(ASSETS) + 1)):
        yield asset, "GET", "200", 5_200
    for width in (480, 960)[: rng.randrange(3)]:
        yield f"/pictures/{slug}-{width}.webp", "GET", "200", width * 61
    if rng.random() < 0.06:
        yield "/api/waitlist", "POST", "303", 800


def swell(share: float) -> float:
    """Return when this share of a flood has come, from 0 to 1: slowly at first and last."""
    return 0.5 + 4 * (share - 0.5) ** 3


def write_log(file: Path, count: int, *, seed: int = 1, hour: str = "2026-11-27\t10") -> int:
    """Write a gzipped log file; return the bytes of its text."""
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP)
    size = len(HEADER)
    with file.open("wb") as out:
        out.write(packer.compress(HEADER.encode()))
        bundle: list[str] = []
        for line in lines(count, seed=seed, hour=hour):
            bundle.append(line)
            if len(bundle) == 5_000:
                text = "".join(bundle).encode()
                size += len(text)
                out.write(packer.compress(text))
                bundle.clear()
        text = "".join(bundle).encode()
        out.write(packer.compress(text) + packer.flush())
    return size + len(text)
