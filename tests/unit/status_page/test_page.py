import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import yaml
from flask.testing import FlaskClient
from werkzeug.exceptions import ServiceUnavailable

from ci.chart import CHART
from metadata_tool.drill.records import Record
from metadata_tool.errors import StoreUnreachable
from metadata_tool.pulsar.coverage import Coverage, CoverageCounts
from metadata_tool.runs import Run
from support import scenes
from support.backups import report
from support.scenes import SCENES, Scene

NOW = scenes.now()
VOID = {"meta", "link", "path", "rect", "line", "progress"}
HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=y>\u202e\n\x1b[2J"


class Page(HTMLParser):
    """A page, read strictly: texts by the path of tags and classes, and all attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[tuple[str, str, str]] = []
        self.feed(html)
        self.close()
        assert [] == self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        """End what is open."""
        if tag not in VOID:
            assert tag == self.open.pop()[0]

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if data.strip():
            self.texts.append((*self.open[-1], " ".join(data.split())))

    def of(self, tag: str, kind: str | None = None) -> list[str]:
        """The texts directly in these tags, with this class if one is given."""
        return [text for name, its, text in self.texts if name == tag and kind in (None, its)]

    def values(self, tag: str, name: str) -> list[str]:
        """The values of an attribute."""
        return [value for of, its, value in self.attributes if (of, its) == (tag, name)]

    @property
    def text(self) -> str:
        """All texts."""
        return " ".join(text for tag, _, text in self.texts if tag != "style")


def page_of(scene: Scene) -> Page:
    """The page of a service."""
    with scene.app().test_client() as client:
        answer = client.get("/")
    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.content_type)
    return Page(answer.text)


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    """A client of a service with sound backups."""
    with scenes.sound(scenes.now()).app().test_client() as made:
        yield made


@pytest.mark.parametrize(
    ("state", "headline", "since", "told"),
    [
        ("sound", "Backups are sound", True, []),
        ("failing", "The last 6 backups failed", True, ["The object store refused the credentials for s3a://"]),
        (
            "suspect",
            "The newest backup is suspect",
            True,
            ["The tree has 1204 znodes", "Its zxid is", "If this is your"],
        ),
        ("empty", "There is no backup yet", False, []),
    ],
)
def test_state(state: str, headline: str, since: bool, told: list[str]) -> None:
    """The page begins with the state, since when it is so, and why."""
    page = page_of(SCENES[state](NOW))
    assert ([headline], state) == (page.of("h1"), page.values("header", "class")[0])
    assert since == ("as far as is known" in page.text)
    reasons = [text for text in page.of("p", "reason") if "ZooKeeper server" not in text]
    assert [True] * len(told) == [text.startswith(start) for text, start in zip(reasons, told, strict=True)]


@pytest.mark.parametrize("state", SCENES)
def test_nothing_from_outside(state: str) -> None:
    """The page runs nothing and loads nothing: no scripts, no handlers, no addresses but those of this port."""
    page = page_of(SCENES[state](NOW))
    assert not {"script", "iframe", "object", "form", "img", "base"} & set(page.tags)
    names = {name for _, name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"style", "src", "srcset"}
    addresses = [value for _, name, value in page.attributes if name == "href"]
    assert [] == [address for address in addresses if not (address.startswith("/") or address == "data:,")]
    assert ["width=device-width, initial-scale=1"] == page.values("meta", "content")
    assert not [text for text in page.of("style") if "url(" in text or "@import" in text]


def test_policy(client: FlaskClient) -> None:
    """The header allows the page's own style and nothing else, and the page is neither cached nor framed."""
    answer = client.get("/")
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", f"style-src 'sha256-{digest}'", "frame-ancestors 'none'"} <= set(policy)
    assert not [part for part in policy if "unsafe" in part]
    assert ("no-store", "nosniff") == (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"])


def test_both_schemes_and_small_screens(client: FlaskClient) -> None:
    """The style has colours for light and dark, and a layout for phones."""
    text = client.get("/").text
    assert all(f"@media ({query})" in text for query in ("prefers-color-scheme: dark", "max-width: 44rem"))


def test_head(client: FlaskClient) -> None:
    """HEAD is answered without content, and other methods are refused."""
    assert (200, b"") == (client.head("/").status_code, client.head("/").data)
    assert 405 == client.post("/").status_code


def test_now(client: FlaskClient) -> None:
    """The page says what runs and how far it is, when the next backup is due, and how the last drill went."""
    page = Page(client.get("/").text)
    assert ["37"] == page.values("progress", "value")
    assert "capture, 37 %, about 11 s left" in page.text
    assert "Next backup in " in page.text
    assert "passed" in page.of("span", "tag good")


def test_failed_drill_and_failures_of_late() -> None:
    """A failed drill is told, and failures before the last good backup are, each kind once."""
    scene = scenes.sound(NOW)
    scene.drills = replace(scene.drills, failed=Record(scene.found[3].uri, NOW, 0.0))
    last = list(scene.runs)[-1]
    for number in range(3):
        scene.runs.add(Run(NOW - 1000 + number, 1, error="no room. Make some."))
    scene.runs.add(last)
    page = page_of(scene)
    assert 1 == page.text.count("no room. Make some.")
    assert ["failed", "failed", "drill failed"] == page.of("span", "tag bad")
    assert ["Backups are sound"] == page.of("h1")


def test_copies() -> None:
    """Each place has its newest copy, what is missing there, and why it fails. Without places there is no section."""
    page = page_of(scenes.sound(NOW))
    assert ["behind"] == [text for text in page.of("span", "tag warn") if text != "suspect"]
    assert "s3a://other-bucket/prod The newest copy is of " in page.text
    assert ", and 3 are missing." in page.text
    page = page_of(scenes.failing(NOW))
    assert "failing" in page.of("span", "tag bad")
    assert "The object store at https://s3.other.example.com does not answer" in page.text
    assert "file:///mnt/backups No copy is known." in page.text
    assert "Copies" not in page_of(scenes.empty(NOW)).text


def test_rows() -> None:
    """Each backup has its time, its size, and what is known of it. Durations of earlier processes are not known."""
    scene = scenes.sound(NOW)
    page = page_of(scene)
    assert 20 == page.tags.count("details")
    assert "20 of 90, newest first." in page.text
    tags = [text for kind in ("tag", "tag good") for text in page.of("span", kind)]
    assert [1, 20, 1, 1] == [tags.count(name) for name in ("latest", "verified", "scrubbed", "drill passed")]
    scene.runs = type(scene.runs)()
    page = page_of(scene)
    assert 20 == page.of("span", "muted").count("\N{EN DASH}")
    assert "verified" not in page.of("span", "tag good")


def test_restore_values() -> None:
    """The values to paste are those of the chart, with the backup's address. Older ones are restored on purpose."""
    known = yaml.safe_load((CHART / "values.yaml").read_text())["zookeeper"]["customTools"]["restore"]
    scene = scenes.suspect(NOW)
    with scene.app().test_client() as client:
        texts = [part.partition("</pre>")[0] for part in client.get("/").text.split("<pre>")[1:]]
    found = [yaml.safe_load(text.replace("&#34;", '"'))["zookeeper"]["customTools"]["restore"] for text in texts]
    assert [backup.uri for backup in scene.found[:20]] == [values["restorePoint"] for values in found]
    assert {scenes.BUCKET} == {values["bucket"] for values in found}
    assert [3] == [number for number, values in enumerate(found) if "allowOlder" not in values]
    assert len(found) == len({values["restoreVersion"] for values in found})
    assert {type(known[name]) for name in found[0]} == {bool, str, dict}
    assert all(values["enable"] is True for values in found)
    assert {True} == {values["encryption"]["secretName"] != "" for values in found}
    scene.encrypted = False
    assert "encryption" not in page_of(scene).text


def test_pictures() -> None:
    """Sizes and durations are pictures with a point for each backup, and suspect ones are marked."""
    page = page_of(scenes.suspect(NOW))
    assert ["Size of the last 90 backups, up to 28.3 MB", "Duration of the last 13 backups, up to 14 s"] == page.values(
        "svg", "aria-label"
    )[:2]
    assert 6 == page.values("line", "class").count("marked")
    assert "Size and duration over time" not in page_of(scenes.empty(NOW)).text


def test_coverage() -> None:
    """Each namespace is a bar: proven by a scrub, claimed by the metadata, and what would be lost."""
    page = page_of(scenes.sound(NOW))
    names = page.of("b")
    assert ["(all)", "telemetry/raw", "shop/carts", "shop/orders"] == names[:4]
    amounts = dict(zip(names, [text for text in page.of("span", "muted") if "proven" in text], strict=True))
    assert "60.0 GB proven, 15.0 GB claimed, 51.0 GB lost, and 40 open ledgers" == amounts["shop/carts"]
    assert "The last scrub ended" in page.text
    assert "so nothing is proven" in page_of(scenes.suspect(NOW)).text


def test_many_namespaces() -> None:
    """Namespaces that lose little are shown together, so that a page of a thousand stays short."""
    made = Coverage()
    for number in range(1000):
        made.add_topic(f"t/n-{number:04d}", "a", CoverageCounts(topics=1, lost_bytes=1000 * number))
    scene = scenes.sound(NOW)
    scene.last_report, scene.scrub = replace(report(coverage=made), backup=scene.found[0]), None
    page = page_of(scene)
    names = page.of("b")
    assert (22, "(all)", "t/n-0999", "(others)") == (len(names), names[0], names[1], names[-1])


@pytest.mark.parametrize("state", ["failing", "suspect"])
def test_texts_of_others_are_escaped(state: str) -> None:
    """Names and errors that look like HTML, or that a terminal would obey, are shown as text."""
    scene = SCENES[state](NOW)
    made = Coverage()
    made.add_topic(HOSTILE, "a", CoverageCounts(topics=1, lost_bytes=5))
    scene.last_report = replace(report(coverage=made), backup=scene.found[0])
    scene.runs.add(Run(NOW, 1, error=HOSTILE if state == "failing" else ""))
    scene.last_failure = HOSTILE if state == "failing" else ""
    if scene.last_suspect:
        scene.last_suspect = replace(scene.last_suspect, doubts=(HOSTILE,))
    page = page_of(scene)
    assert not {"script", "img"} & set(page.tags)
    for bad in ("\u202e", "\x1b"):
        assert bad not in page.text
    assert 2 == page.text.count("<script>alert(1)</script>")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreUnreachable("no answer", "Check the network"), "No answer. Check the network."),
        (ServiceUnavailable(), "Too many requests wait for the object store"),
    ],
)
def test_bucket_cannot_be_listed(error: Exception, told: str) -> None:
    """If the bucket cannot be listed, the page says so, and shows all else that is known."""
    scene = scenes.sound(NOW)
    scene.error = error  # type: ignore[assignment]  # one of them is raised by the shared listing
    page = page_of(scene)
    assert ["The backups cannot be listed"] == page.of("h1")
    assert told in page.text
    assert "shop/orders" in page.of("b")


def test_loop_has_ended() -> None:
    """A service whose loop does not run is told, whatever the backups are."""
    scene = scenes.sound(NOW)
    scene.alive = False
    assert ["The backup loop is not running"] == page_of(scene).of("h1")
