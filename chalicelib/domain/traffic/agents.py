"""Tell programs from people, and phones from desks, by the user agent.

The list of programs is kept by hand. Each operator publishes the token of its program, under the address
beside it; programs without a published token are found by the words that most of them use of themselves. A
program that names itself a browser counts as a person: no list finds it.
"""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

AS_OF = "2026-11-27"

# A token in lower case, the name in reports, and where its operator publishes it.
PROGRAMS = (
    ("google-inspectiontool", "Googlebot", "https://developers.google.com/search/docs/crawling-indexing/google-common-crawlers"),
    ("googleother", "GoogleOther", "https://developers.google.com/search/docs/crawling-indexing/google-common-crawlers"),
    ("storebot-google", "Google StoreBot", "https://developers.google.com/search/docs/crawling-indexing/google-common-crawlers"),
    ("adsbot-google", "Google AdsBot", "https://developers.google.com/search/docs/crawling-indexing/google-special-case-crawlers"),
    ("mediapartners-google", "Google AdSense", "https://developers.google.com/search/docs/crawling-indexing/google-special-case-crawlers"),
    ("feedfetcher-google", "Google Feedfetcher", "https://developers.google.com/search/docs/crawling-indexing/google-user-triggered-fetchers"),
    ("googleimageproxy", "Gmail pictures", "https://developers.google.com/search/docs/crawling-indexing/google-user-triggered-fetchers"),
    ("googlebot", "Googlebot", "https://developers.google.com/search/docs/crawling-indexing/google-common-crawlers"),
    ("bingpreview", "Bing preview", "https://www.bing.com/webmasters/help/which-crawlers-does-bing-use-8c184ec0"),
    ("adidxbot", "Bing ads", "https://www.bing.com/webmasters/help/which-crawlers-does-bing-use-8c184ec0"),
    ("bingbot", "Bingbot", "https://www.bing.com/webmasters/help/which-crawlers-does-bing-use-8c184ec0"),
    ("duckduckbot", "DuckDuckBot", "https://duckduckgo.com/duckduckgo-help-pages/results/duckduckbot"),
    ("duckassistbot", "DuckAssistBot", "https://duckduckgo.com/duckduckgo-help-pages/results/duckassistbot"),
    ("yandex.com/bots", "Yandex", "https://yandex.com/support/webmaster/robot-workings/check-yandex-robots.html"),
    ("baiduspider", "Baiduspider", "https://help.baidu.com/question?prod_id=99&class=0&id=3001"),
    ("applebot", "Applebot", "https://support.apple.com/en-us/119829"),
    ("petalbot", "PetalBot", "https://webmaster.petalsearch.com/site/petalbot"),
    ("seznambot", "SeznamBot", "https://o-seznam.cz/napoveda/vyhledavani/en/seznambot-crawler/"),
    ("qwantbot", "Qwantbot", "https://help.qwant.com/bot/"),
    ("gptbot", "GPTBot", "https://platform.openai.com/docs/bots"),
    ("oai-searchbot", "OAI-SearchBot", "https://platform.openai.com/docs/bots"),
    ("chatgpt-user", "ChatGPT-User", "https://platform.openai.com/docs/bots"),
    ("claudebot", "ClaudeBot", "https://support.claude.com/en/articles/8896518"),
    ("claude-user", "Claude-User", "https://support.claude.com/en/articles/8896518"),
    ("claude-searchbot", "Claude-SearchBot", "https://support.claude.com/en/articles/8896518"),
    ("perplexity", "Perplexity", "https://docs.perplexity.ai/guides/bots"),
    ("mistralai-user", "MistralAI-User", "https://docs.mistral.ai/robots"),
    ("meta-externalagent", "Meta", "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers"),
    ("meta-externalfetcher", "Meta", "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers"),
    ("facebookexternalhit", "Facebook preview", "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers"),
    ("amazonbot", "Amazonbot", "https://developer.amazon.com/amazonbot"),
    ("bytespider", "Bytespider", "https://bytespider.bytedance.com/"),
    ("ccbot", "CCBot", "https://commoncrawl.org/ccbot"),
    ("twitterbot", "X preview", "https://developer.x.com/en/docs/x-for-websites/cards/guides/getting-started"),
    ("linkedinbot", "LinkedIn preview", "https://www.linkedin.com/robots.txt"),
    ("pinterestbot", "Pinterest", "https://help.pinterest.com/en/business/article/pinterest-crawler"),
    ("slackbot", "Slack preview", "https://api.slack.com/robots"),
    ("discordbot", "Discord preview", "https://discord.com/robots.txt"),
    ("telegrambot", "Telegram preview", "https://telegram.org/blog/link-preview"),
    ("whatsapp/", "WhatsApp preview", "https://developers.facebook.com/docs/whatsapp/link-previews"),
    ("ahrefsbot", "AhrefsBot", "https://ahrefs.com/robot"),
    ("semrushbot", "SemrushBot", "https://www.semrush.com/bot/"),
    ("mj12bot", "MJ12bot", "https://mj12bot.com/"),
    ("dotbot", "DotBot", "https://moz.com/help/moz-procedures/crawlers/dotbot"),
    ("dataforseobot", "DataForSeoBot", "https://dataforseo.com/dataforseo-bot"),
    ("uptimerobot", "UptimeRobot", "https://uptimerobot.com/help/locations/"),
    ("pingdom", "Pingdom", "https://documentation.solarwinds.com/en/success_center/pingdom/content/topics/probe-servers.htm"),
    ("ia_archiver", "Internet Archive", "https://archive.org/details/archive.org_bot"),
    ("archive.org_bot", "Internet Archive", "https://archive.org/details/archive.org_bot"),
)  # fmt: skip
# Words of programs that publish nothing, libraries of HTTP, and browsers that nobody sits before.
WORDS = (
    *("bot/", "bot;", "bot)", "bot-", "+http", "crawl", "spider", "slurp", "scrapy", "fetcher"),
    *("preview", "monitor", "headless", "phantomjs", "puppeteer", "playwright", "selenium", "lighthouse"),
    *("locust", "curl/", "wget/", "libwww", "python", "go-http-client", "okhttp", "java/", "ruby", "php/"),
    *("apache-httpclient", "axios/", "node-fetch", "undici", "guzzlehttp", "httpx", "aiohttp"),
    *("postmanruntime", "dalvik/"),
)
OTHER_PROGRAM = "other programs"
NO_AGENT = "no user agent"
AGENT_CHARS_MAX = 1_024


class Device(StrEnum):
    """The kind of a device, as far as its browser says."""

    PHONE = "phone"
    TABLET = "tablet"
    DESK = "desk"
    OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Agent:
    """A user agent as it is logged, its device, and the name of the program where no person sits before it.

    It is equal to itself alone, which makes it a fast key.
    """

    logged: bytes
    device: Device
    program: str | None = None


def agent_of(logged: bytes) -> Agent:
    """Return what a logged user agent is: CloudFront percent-encodes it, and writes `-` for none."""
    if logged in {b"-", b""}:
        return Agent(logged, Device.OTHER, NO_AGENT)
    text = unquote(logged[:AGENT_CHARS_MAX].decode("utf-8", "replace")).lower()
    return Agent(logged, _device_of(text), _program_of(text))


def _program_of(text: str) -> str | None:
    for token, name, _ in PROGRAMS:
        if token in text:
            return name
    # A make of phones.
    text = text.replace(" cubot", "")
    if text.endswith("bot") or any(word in text for word in WORDS):
        return OTHER_PROGRAM
    return None


def _device_of(text: str) -> Device:
    if "ipad" in text or "tablet" in text or ("android" in text and "mobile" not in text):
        return Device.TABLET
    if "iphone" in text or "mobile" in text:
        return Device.PHONE
    if any(system in text for system in ("windows", "macintosh", "x11", "cros", "linux")):
        return Device.DESK
    return Device.OTHER
