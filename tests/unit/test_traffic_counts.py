"""Counting log files: exact figures, any order and split and repetition, hostile lines, bounded memory."""

import gzip
import io
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.traffic_log import lines
from chalicelib.domain.traffic.agents import Device, agent_of
from chalicelib.domain.traffic.counting import Counting, LogName, count_log, log_name, time_of, week_of
from chalicelib.domain.traffic.hour import HourStats
from chalicelib.domain.traffic.lines import FIELDS, LINE_BYTES_MAX, LOGGED_FIELDS
from chalicelib.domain.traffic.request import referring_host
from chalicelib.domain.traffic.sketch import NamedCounts, VisitorSketch
from tests.support.access_log import (
    DESK,
    GOOGLE,
    HOUR,
    HOW,
    NAME,
    PHONE,
    WEEK,
    Exact,
    counted,
    counted_lines,
    gzipped,
    log_line,
    text_of,
)

FLOOD = tuple(line.rstrip("\n") for line in lines(6_000, seed=7))


def merged(hour: str, parts: Iterable[HourStats]) -> HourStats:
    """Return the sum of an hour's parts."""
    total = HourStats(hour)
    for part in parts:
        total.merge(part)
    return total


def test_the_figures_of_a_flood_are_exact_but_for_unique_visitors_within_2_percent() -> None:
    exact, stats = Exact.of(FLOOD), counted_lines(*FLOOD)
    assert (stats.requests, stats.bytes_sent, stats.views) == (6_000, exact.bytes_sent, exact.views)
    assert Counter(dict(enumerate(stats.minutes))) == exact.minutes
    assert Counter(dict(enumerate(stats.view_minutes))) == exact.view_minutes
    for name in ("pages", "statuses", "results", "signups", "missing"):
        assert dict(getattr(stats, name)) == dict(getattr(exact, name)), name
    products = {
        (slug, minute): n for slug, views in stats.products.items() for minute, n in enumerate(views) if n
    }
    assert products == exact.products
    assert stats.aside == {}
    assert abs(stats.visitors[WEEK].estimate() / len(exact.visitors) - 1) < 0.02


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_split_and_repetition_of_log_files_gives_the_same_bytes(
    rng: random.Random, files: int
) -> None:
    some = list(FLOOD[:300])
    whole = counted_lines(*some).to_bytes()
    rng.shuffle(some)
    cuts = sorted(rng.randrange(len(some) + 1) for _ in range(files - 1))
    parts = [some[start:end] for start, end in zip([0, *cuts], [*cuts, len(some)], strict=True)]
    # A file that is delivered again replaces its own part.
    by_name = {number: counted_lines(*part) for number, part in enumerate(parts)}
    by_name |= {number: counted_lines(*parts[number]) for number in rng.choices(range(files), k=2)}
    order = rng.sample(sorted(by_name), files)
    middle = rng.randrange(files + 1)
    grouped = [
        merged(HOUR, [by_name[number] for number in group]) for group in (order[:middle], order[middle:])
    ]
    assert merged(HOUR, grouped).to_bytes() == whole
    assert HourStats.from_document(merged(HOUR, grouped).to_document()).to_bytes() == whole


HOSTILE = [
    (log_line(agent="a\tb"), "field_count"),
    (log_line() + "\t", "field_count"),
    ("", "field_count"),
    ("garbage", "field_count"),
    (log_line().rsplit("\t", 5)[0], "field_count"),
    (log_line(date="2026-02-30"), "time"),
    (log_line(date="now"), "time"),
    (log_line(time="10:60:00"), "time"),
    (log_line(time="24:00:00"), "time"),
    (log_line(bytes="-5"), "number"),
    (log_line(bytes="5_0"), "number"),
    (log_line(bytes=""), "number"),
    (log_line(bytes="9" * 5_000), "number"),
    (log_line(bytes="9" * 13), "number"),
    (log_line(status="2OO"), "status"),
    (log_line(date="2126-11-27"), "far"),
    (log_line(date="2026-11-20"), "far"),
    (log_line(stem="/" + "a" * LINE_BYTES_MAX), "long"),
]


@pytest.mark.parametrize(("line", "kind"), HOSTILE)
@pytest.mark.parametrize("place", [0, 2])
def test_a_hostile_line_is_counted_aside_by_its_kind_and_its_neighbours_are_counted(
    line: str, kind: str, place: int
) -> None:
    good = [log_line(), log_line()]
    stats = counted_lines(*good[:place], line, *good[place:])
    assert (stats.requests, stats.views, dict(stats.aside)) == (2, 2, {kind: 1})


@pytest.mark.parametrize(("line", "kind"), HOSTILE)
def test_hostile_lines_anywhere_in_a_long_file_are_counted_aside(line: str, kind: str) -> None:
    # Some stand where the lines before them have made hour, times and requests known.
    good = [log_line()] * 500
    stats = counted_lines(*good, line, *good, line, line, *good, line)
    assert (stats.requests, stats.views, dict(stats.aside)) == (1_500, 1_500, {kind: 4})


@pytest.mark.parametrize(
    ("values", "hour"),
    [
        ({"time": "11:05:30"}, "2026-11-27T11"),
        ({"date": "2026-11-26"}, "2026-11-26T10"),
        ({"time": "09:00:00", "date": "2026-11-28"}, "2026-11-28T09"),
    ],
)
def test_a_line_of_another_hour_in_a_long_file_is_counted_there(values: dict[str, str], hour: str) -> None:
    good = [log_line()] * 500
    content = gzipped(text_of([*good, log_line(**values), *good, *good, log_line(**values)]))
    hours = count_log(io.BytesIO(content), NAME, HOW)
    assert {hour: stats.requests for hour, stats in hours.items()} == {HOUR: 1_500, hour: 2}
    assert hours[HOUR].aside == {}


def test_many_kinds_of_hostile_lines_in_one_file_are_each_counted_once() -> None:
    bad = [log_line(status="x"), log_line(bytes="x"), log_line(date="x"), "x", log_line(date="2126-01-01")]
    stats = counted_lines(log_line(), *bad, *bad, log_line())
    assert stats.requests == 2
    assert stats.aside == {"status": 2, "number": 2, "time": 2, "field_count": 2, "far": 2}


def test_lines_whose_bytes_add_up_to_more_digits_than_one_may_have_are_counted() -> None:
    stats = counted_lines(*[log_line(bytes="9" * 12)] * 3)
    assert (stats.requests, stats.bytes_sent, stats.aside) == (3, 3 * (10**12 - 1), {})


@pytest.mark.parametrize("lacking", [1, 4, 5, 9])
def test_fields_that_one_line_lacks_and_another_has_too_many_of_do_not_make_up_for_each_other(
    lacking: int,
) -> None:
    values = log_line().split("\t")
    short, long = "\t".join(values[:-lacking]), "\t".join(values + values[-lacking:])
    stats = counted_lines(*[log_line()] * 1_000, short, long, log_line())
    assert (stats.requests, stats.aside) == (1_001, {"field_count": 2})


def test_a_line_is_as_long_as_it_may_be_wherever_the_pieces_of_the_text_begin() -> None:
    agent = "a" * (LINE_BYTES_MAX - len(log_line(agent="")))
    longest, too_long = log_line(agent=agent), log_line(agent=agent + "a")
    for before in (0, 1, 5, 400, 450, 900):
        stats = counted_lines(*[log_line()] * before, longest, too_long, longest, too_long, too_long)
        assert (stats.requests, stats.aside) == (before + 2, {"long": 3}), before


@settings(max_examples=40)
@given(st.permutations(LOGGED_FIELDS), st.randoms(use_true_random=False))
def test_any_order_of_the_fields_gives_the_same_bytes(names: list[str], rng: random.Random) -> None:
    bad = [log_line(time="99:00:00"), log_line(status=""), log_line(agent="a\tb"), log_line(bytes="x")]
    some = [
        [*line.split("\t")[:5], rng.choice(("CH", "DE")), *line.split("\t")[5:]]
        for line in [*FLOOD[:60], *bad, log_line(time="09:00:00")]
    ]
    rng.shuffle(some)
    places = [LOGGED_FIELDS.index(name) for name in names]
    # A line with a tab too many has one in any order.
    other = [[values[place] for place in places] + values[len(places) :] for values in some]
    counts = [
        count_log(io.BytesIO(gzipped(text_of(map("\t".join, rows), order))), NAME, HOW)
        for rows, order in ((some, LOGGED_FIELDS), (other, names))
    ]
    first, second = ({hour: stats.to_bytes() for hour, stats in hours.items()} for hours in counts)
    assert first == second
    assert counts[0][HOUR].aside == {"time": 1, "status": 1, "field_count": 1, "number": 1}
    assert sum(counts[0][HOUR].countries.values()) > 0


def test_percent_encodings_and_bytes_that_are_no_utf_8_are_read_without_a_crash() -> None:
    stats = counted_lines(
        log_line(stem="/products/%6Dug"),
        log_line(agent="%09%0A%00%zz%"),
        log_line(agent="\udcff\udcfe", stem="/%FF%FE"),
        log_line(referrer="http://[", result="\udcff", stem="/products/a%2Fb"),
    )
    assert stats.pages == {"/products/mug": 2, "/\ufffd\ufffd": 1, "/products/a/b": 1}
    assert stats.results == {"Hit": 3, "other": 1}
    assert stats.referrers == {"not a site": 1}
    assert stats.devices == {"phone": 2, "other": 2}


def test_a_truncated_file_gives_its_whole_lines_and_says_that_it_is_cut() -> None:
    rng = random.Random(3)
    content = gzipped(text_of([log_line(ip=f"203.0.113.{rng.randrange(256)}") for _ in range(5_000)]))
    stats = counted(content[: len(content) // 2])
    assert 1_000 < stats.requests < 5_000
    assert stats.aside == {"gzip": 1}


@pytest.mark.parametrize(
    "content",
    [b"not gzip at all", gzip.compress(b"")[:5], gzipped(b"x" * 99)[:-9] + b"\xff" * 9],
    ids=["no gzip", "a cut header", "a broken end"],
)
def test_a_file_that_is_no_gzip_is_counted_aside(content: bytes) -> None:
    stats = counted(content)
    assert stats.requests == 0
    assert stats.aside["gzip"] == 1


def test_lines_before_a_header_and_under_one_without_our_fields_are_counted_aside() -> None:
    without = text_of([log_line()], fields=[name for name in FIELDS if name != "c-ip"])
    stats = counted(gzipped(f"{log_line()}\n{log_line()}\n".encode() + text_of([log_line()]) + without))
    assert (stats.requests, dict(stats.aside)) == (1, {"no_fields": 3})


def test_fields_may_stand_in_another_order_among_others_and_with_a_country() -> None:
    names = ["c-country", *reversed(FIELDS), "x-edge-location"]
    values = ["CH", *reversed(log_line(bytes="77").split("\t")), "ZRH50"]
    stats = counted(gzipped(text_of(["\t".join(values)], names)))
    assert (stats.requests, stats.bytes_sent, dict(stats.countries)) == (1, 77, {"CH": 1})


@pytest.mark.parametrize("names", [FIELDS, ["cs(User-Agent)", *FIELDS[:4], *FIELDS[5:]]])
def test_a_line_that_begins_as_a_header_does_is_none_of_the_log_whatever_its_neighbours_are(
    names: list[str],
) -> None:
    line = "\t".join(dict(zip(FIELDS, log_line().split("\t"), strict=True))[name] for name in names)
    stats = counted(gzipped(text_of([line, "#" + line, *[line] * 1_000, "#" + line, line], names)))
    assert (stats.requests, stats.aside) == (1_002, {})


@pytest.mark.parametrize("zeros", [0, 512, 40_000])
@pytest.mark.parametrize("names", [FIELDS, list(reversed(FIELDS))])
def test_zeros_after_the_last_member_and_ends_of_lines_of_another_system_change_no_figure(
    names: list[str], zeros: int
) -> None:
    line = "\t".join(dict(zip(FIELDS, log_line().split("\t"), strict=True))[name] for name in names)
    text = text_of([line, line], names)
    odd = counted(gzipped(text.replace(b"\n", b"\r\n")) + b"\0" * zeros)
    assert odd.to_bytes() == counted(gzipped(text)).to_bytes()
    assert counted(b"\0" * zeros).aside == ({"gzip": 1} if zeros else {})


def test_members_of_a_joined_file_are_each_read_under_their_own_header() -> None:
    other = text_of(["\t".join(reversed(log_line(bytes="2").split("\t")))], list(reversed(FIELDS)))
    stats = counted(gzipped(text_of([log_line(bytes="1")])) + gzipped(other))
    assert (stats.requests, stats.bytes_sent) == (2, 3)


def test_lines_of_another_hour_are_counted_there_and_the_file_keeps_its_own() -> None:
    late = [
        log_line(),
        log_line(time="09:59:59", ip="203.0.113.9"),
        log_line(date="2026-11-26", time="23:00:00"),
    ]
    hours = count_log(io.BytesIO(gzipped(text_of(late))), NAME, HOW)
    assert {hour: stats.requests for hour, stats in hours.items()} == {
        HOUR: 1,
        "2026-11-27T09": 1,
        "2026-11-26T23": 1,
    }


def test_a_line_of_8_mb_leaves_memory_flat() -> None:
    long = gzip.compress(text_of([log_line()]) + b"a" * 8_000_000 + b"\n" + f"{log_line()}\n".encode(), 1)
    tracemalloc.start()
    try:
        stats = counted(long)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (stats.requests, dict(stats.aside)) == (2, {"long": 1})
    assert peak < 2_000_000


def test_a_visitor_is_an_address_with_an_agent_and_programs_are_none() -> None:
    stats = counted_lines(
        *[log_line(stem=stem) for stem in ("/", "/shop/all", "/products/mug", "/x.css")],
        log_line(agent=DESK),
        log_line(ip="203.0.113.8"),
        log_line(agent=GOOGLE),
        log_line(agent="-"),
        log_line(method="HEAD", ip="203.0.113.9"),
        log_line(status="404", ip="203.0.113.10"),
    )
    assert (stats.views, stats.visitors[WEEK].estimate()) == (5, 3)
    assert stats.programs == {"Googlebot": 1, "no user agent": 1}


def test_a_landing_is_a_view_that_no_page_of_the_shop_led_to() -> None:
    stats = counted_lines(
        log_line(stem="/spring"),
        log_line(stem="/spring", referrer="https://www.news.example/a?q=secret"),
        log_line(stem="/", referrer="https://shop.example/spring"),
    )
    assert stats.landings == {"/spring": 2}
    assert stats.referrers == {"news.example": 1}
    assert b"secret" not in stats.to_bytes()


def test_no_statistic_holds_an_address_an_agent_or_a_query() -> None:
    stored = counted_lines(
        log_line(ip="198.51.100.77", agent=DESK, referrer="https://a.example/?q=x1y2")
    ).to_bytes()
    for personal in (b"198.51.100", b"Chrome/140", b"x1y2"):
        assert personal not in stored


def test_a_view_whose_week_has_no_salt_any_more_is_counted_and_no_visitor() -> None:
    stats = count_log(io.BytesIO(gzipped(text_of([log_line()]))), NAME, Counting({}, frozenset()))[HOUR]
    assert (stats.views, stats.unsalted, stats.visitors) == (1, 1, {})


def test_a_week_begins_on_monday_at_midnight_utc_and_its_visitors_are_sketched_apart() -> None:
    assert (week_of("2026-11-29T23"), week_of("2026-11-30T00")) == ("2026-W48", "2026-W49")
    name = LogName("E1.2026-11-30-00.aa", "2026-11-30T00")
    how = Counting({"2026-W48": b"old", "2026-W49": b"new"}, frozenset())
    text = text_of(
        [log_line(date="2026-11-29", time="23:59:59"), log_line(date="2026-11-30", time="00:00:00")]
    )
    hours = count_log(io.BytesIO(gzipped(text)), name, how)
    assert {hour: list(stats.visitors) for hour, stats in hours.items()} == {
        "2026-11-30T00": ["2026-W49"],
        "2026-11-29T23": ["2026-W48"],
    }


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (
            "AWSLogs/1/CloudFront/E1/2026/11/27/10/E1.2026-11-27-10.ab12.gz",
            LogName("E1.2026-11-27-10.ab12", HOUR),
        ),
        ("E1.2026-11-27-10.ab12.gz", LogName("E1.2026-11-27-10.ab12", HOUR)),
        ("E1.2026-11-27-24.ab12.gz", None),
        ("E1.2026-02-30-10.ab12.gz", None),
        ("E1.2026-11-27-10.ab12", None),
        ("stats/2026-11-27T10.json", None),
    ],
)
def test_a_log_file_is_named_by_distribution_hour_and_id(key: str, name: LogName | None) -> None:
    assert log_name(key) == name


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-27", "2026-1-2T3", "2026-W48-5T10", "2026-11-27T24", "2026-02-30T10", "2026-11-27T1\u0663"],
)
def test_an_hour_is_written_in_one_way(text: str) -> None:
    assert time_of("2026-11-27T10") == datetime(2026, 11, 27, 10, tzinfo=UTC)
    with pytest.raises(ValueError):  # noqa: PT011 - of this module or of datetime
        time_of(text)


@pytest.mark.parametrize("count", [0, 1, 10, 1_000, 30_000, 100_000])
def test_a_sketch_estimates_within_2_percent_and_its_text_gives_it_back(count: int) -> None:
    rng = random.Random(count)
    digests = [rng.randbytes(8) for _ in range(count)]
    sketch, halves = VisitorSketch(), (VisitorSketch(), VisitorSketch())
    sketch.add(digests)
    halves[0].add(digests[: count * 2 // 3])
    halves[1].add(digests[count // 3 :])
    halves[0].merge(halves[1])
    assert halves[0].registers == sketch.registers
    assert VisitorSketch.from_text(sketch.to_text()).registers == sketch.registers
    assert abs(sketch.estimate() - count) <= 0.02 * count


@pytest.mark.parametrize("text", ["", "x", "sAAA", "d", "dAAAA", "s////", "s!"])
def test_a_text_that_is_no_sketch_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"sketch|base64|padding|padded"):
        VisitorSketch.from_text(text)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.text(max_size=3), st.integers(1, 9)), max_size=60),
    st.randoms(use_true_random=False),
)
def test_bounded_counts_keep_the_same_names_with_exact_counts_in_any_order(
    counts: list[tuple[str, int]], rng: random.Random
) -> None:
    exact: Counter[str] = Counter()
    for name, count in counts:
        exact[name] += count
    first = NamedCounts(4)
    first.add(counts)
    rng.shuffle(counts)
    parts = [NamedCounts(4) for _ in range(3)]
    for entry in counts:
        rng.choice(parts).add([entry])
    second = NamedCounts(4)
    for part in parts:
        second.add(part.trim())
    assert first.trim() == second.trim()
    assert len(first) == min(4, len(exact))
    assert all(count == exact[name] for name, count in first.items())


@pytest.mark.parametrize(
    ("agent", "device", "program"),
    [
        (PHONE, Device.PHONE, None),
        (DESK, Device.DESK, None),
        ("Mozilla/5.0%20(iPad;%20CPU%20OS%2016_0)%20Mobile/15E148", Device.TABLET, None),
        (
            "Mozilla/5.0%20(Linux;%20Android%2014;%20SM-X700)%20Chrome/140.0%20Safari/537.36",
            Device.TABLET,
            None,
        ),
        ("Mozilla/5.0%20(Linux;%20Android%2014;%20K)%20Chrome/140.0%20Mobile%20Safari", Device.PHONE, None),
        ("Mozilla/5.0%20(Macintosh;%20Intel%20Mac%20OS%20X%2010_15_7)%20Safari/605", Device.DESK, None),
        ("Mozilla/5.0%20(compatible;%20bingbot/2.0)", Device.OTHER, "Bingbot"),
        ("Mozilla/5.0%20(compatible;%20GPTBot/1.2)", Device.OTHER, "GPTBot"),
        ("curl/8.5.0", Device.OTHER, "other programs"),
        ("python-requests/2.32", Device.OTHER, "other programs"),
        ("Mozilla/5.0%20(X11;%20Linux)%20HeadlessChrome/140", Device.DESK, "other programs"),
        ("SomeNewCrawler/1.0", Device.OTHER, "other programs"),
        ("Mozilla/5.0%20(Linux;%20Android%2013;%20CUBOT%20X70)%20Mobile%20Safari", Device.PHONE, None),
        ("Mozilla/5.0%20(Linux;%20Android%2010;%20CUBOT)%20Mobile%20Safari", Device.PHONE, None),
        ("Mozilla/5.0%20(Linux;%20Android%209)%20Mobile%20YandexSearch/21.11.0", Device.PHONE, None),
        (
            "Mozilla/5.0%20(compatible;%20YandexImages/3.0;%20+http://yandex.com/bots)",
            *(Device.OTHER, "Yandex"),
        ),
        ("-", Device.OTHER, "no user agent"),
    ],
)
def test_an_agent_is_a_device_or_a_program(agent: str, device: Device, program: str | None) -> None:
    found = agent_of(agent.encode())
    assert (found.device, found.program) == (device, program)


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("-", None),
        ("https://www.Google.com/search?q=secret", "google.com"),
        ("https://shop.example/products/mug", "the shop itself"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("https://user:pass@news.example:8443/a", "news.example"),
        ("javascript:alert(1)", "not a site"),
        ("https://<script>/", "not a site"),
        ("https://" + "a" * 200 + ".example/", "not a site"),
    ],
)
def test_a_referrer_is_named_by_its_host_alone(referrer: str, host: str | None) -> None:
    assert referring_host(referrer.encode(), frozenset({"shop.example"})) == host
