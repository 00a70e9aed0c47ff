#!/usr/bin/env python3
"""Open the HTML report in a browser (headless Chromium) and use it: with the mouse, with keys, by links.

Three pages: that of a dump (fixtures/dumps/service-1.26.6, or --core and --exe), and two of names which try to be
more than text: made up (crates/objref-report/examples/hostile_page.rs), and of a real program with such names
(fixtures/dumps/hostile-1.27.3). What they show is held against sums over the data
in the page that are made here. The console must stay silent, and nothing that came from a name may run.

Prints a line per check and `N passed, N failed`; exit status 1 if anything failed. --screenshots DIR keeps pictures.
"""

import argparse
import base64
import json
import re
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from fixturelib.browser import Browser

REPOSITORY = Path(__file__).resolve().parents[1]
DUMPS = REPOSITORY / "fixtures/dumps"


def main():
    """Make the pages and check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    parser.add_argument("--core", type=Path, default=DUMPS / "service-1.26.6.core.zst", metavar="FILE")
    parser.add_argument("--exe", type=Path, default=DUMPS / "service-1.26.6.exe.zst", metavar="FILE")
    parser.add_argument("--screenshots", type=Path, metavar="DIR")
    options = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        dump, hostile, program = (Path(scratch) / f"{name}.html" for name in ("dump", "hostile", "program"))
        subprocess.run([options.objref, options.core, "--exe", options.exe, "-o", dump], check=True)
        core, exe = DUMPS / "hostile-1.27.3.core.zst", DUMPS / "hostile-1.27.3.exe.zst"
        subprocess.run([options.objref, core, "--exe", exe, "-o", program], check=True)
        example = ["cargo", "run", "--release", "--quiet", "-p", "objref-report", "--example", "hostile_page"]
        hostile.write_bytes(subprocess.run(example, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout)
        for name, path, scale in (("dump", dump, 1), ("hostile", hostile, 2), ("program", program, 1)):
            with Browser(scale) as browser:
                page = Page(browser, path)
                for check in CHECKS:
                    try:
                        page.show()
                        check(page)
                        complaints = browser.complaints() if check not in VIOLATES else []
                        assert not complaints, complaints
                        verdict = "ok"
                    except Exception as error:  # whatever it is, the other checks go on
                        verdict = f"FAILED: {error}"
                        traceback.print_exc()
                    passed += verdict == "ok"
                    failed += verdict != "ok"
                    print(f"{name:<8} {check.__name__.replace('_', ' '):<50} {verdict}", flush=True)
                if options.screenshots:
                    screenshots(page, options.screenshots, name)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


class Page:
    """A page, and its data added up without its script."""

    def __init__(self, browser, path):
        self.browser = browser
        self.url = path.as_uri()
        text = path.read_text()
        self.data = json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.S)[1])
        self.trees = [Tree(tree, self.data["strings"]) for tree in self.data["trees"]]

    def show(self, fragment=""):
        """Load it anew."""
        self.browser.size(1280, 900)
        self.browser.open(self.url + fragment)
        self.browser.wait("return document.querySelector('#crumbs button') !== null")

    def state(self):
        """What the page thinks it shows."""
        return self.browser.run("return [state.tree.id, state.metric, state.zoom, state.search]")

    def settled(self, zoom):
        """Wait until the zoom is done."""
        self.browser.wait("""const start = state.tree.start[state.metric][state.zoom];
            const end = start + state.tree.total[state.metric][state.zoom];
            return state.zoom === arguments[0] && graph.range[0] === start && graph.range[1] === end""", zoom)

    def text(self, selector):
        """The text of the first such element."""
        return self.browser.run("return document.querySelector(arguments[0]).innerText", selector)

    def column(self, table, index):
        """The cells of a table's column."""
        script = "return [...document.querySelectorAll(arguments[0])].map((cell) => cell.innerText.trim())"
        return self.browser.run(script, f"#{table} td:nth-child({index + 1})")

    def place(self, frame):
        """The middle of a frame in the window."""
        box = self.browser.run("return graph.place(arguments[0])", frame)
        return (box["left"] + box["right"]) / 2, (box["top"] + box["bottom"]) / 2


class Tree:
    """The frames of the data, added up."""

    def __init__(self, data, strings):
        self.id, self.depth = data["id"], data["depth"]
        self.name = [strings[name] for name in data["name"]]
        self.names = data["name"]
        self.cut = set(data["cut"])
        self.total = {metric: list(data[metric]) for metric in ("bytes", "objects")}
        self.own = {metric: data[metric] for metric in ("bytes", "objects")}
        self.parent, path = [], []
        for frame, depth in enumerate(self.depth):
            del path[depth:]
            self.parent.append(path[-1] if path else 0)
            path.append(frame)
        for total in self.total.values():
            for frame in range(len(self.depth) - 1, 0, -1):
                total[self.parent[frame]] += total[frame]

    def below(self, top):
        """The frames at or below one."""
        end = top + 1
        while end < len(self.depth) and self.depth[end] > self.depth[top]:
            end += 1
        return range(top, end)

    def above(self, frame):
        """The frames from the whole to this one, which is left out."""
        while frame > 0:
            frame = self.parent[frame]
            yield frame

    def matched(self, metric, found, top=0):
        """What is in frames whose name is found, each byte once."""
        hit = {frame for frame in self.below(top) if found(self.name[frame])}
        return sum(self.total[metric][f] for f in hit if hit.isdisjoint(a for a in self.above(f) if a >= top))

    def by_name(self, metric):
        """Total and own value by name, but of frames that stand for others."""
        frames = [f for f in range(len(self.depth)) if f not in self.cut]
        rows = {}
        for name in {self.name[f] for f in frames}:
            own = sum(self.own[metric][f] for f in frames if self.name[f] == name)
            rows[name] = (self.matched(metric, lambda other, name=name: other == name), own)
        return rows

    def widest(self, depth):
        """The widest frame at a depth."""
        return max((f for f in range(len(self.depth)) if self.depth[f] == depth), key=lambda f: self.total["bytes"][f])


def shows_what_is_in_the_data(page):
    """Headline, numbers, notes, and the whole of the tree."""
    assert page.browser.run("return [document.title, document.querySelector('h1').textContent]") == [page.data["title"]] * 2
    shown = page.browser.run("return [...document.querySelectorAll('#facts .value')].map((value) => value.textContent)")
    assert shown == [fact["value"] for fact in page.data["facts"]] and len(shown) == 5
    notes = page.browser.run("return [...document.querySelectorAll('#notes li')].map((note) => note.textContent)")
    assert notes == [note["text"] for note in page.data["notes"]] and notes
    whole = page.trees[0].total["bytes"][0]
    assert f"{whole:,} bytes" in page.text("#status"), page.text("#status")
    warned = any(note["level"] == "warning" for note in page.data["notes"])
    assert page.browser.run("return !document.getElementById('alert').hidden") == warned
    assert page.browser.run("return document.getElementById('trees').hidden") == (len(page.trees) == 1)
    assert page.browser.run("return document.getElementById('types').querySelectorAll('tbody tr').length") > 0


def draws_frames_in_their_colours(page):
    """Near the right end of a wide frame, where there is no text, is its colour."""
    tree = page.trees[0]
    for depth in (0, 1, 2):
        frame = tree.widest(depth)
        pixel = page.browser.run("""const [left, scale] = [graph.canvas.getBoundingClientRect(), devicePixelRatio];
            const box = graph.place(arguments[0]);
            const at = [box.right - 4 - left.left, box.top + 3 - left.top].map((length) => Math.round(length * scale));
            return [...graph.pen.getImageData(...at, 1, 1).data].slice(0, 3)""", frame)
        colour = page.data["colours"][tree.names[frame]]
        assert pixel == [colour >> 16, colour >> 8 & 255, colour & 255], (tree.name[frame], pixel, hex(colour))


def is_as_sharp_and_as_wide_as_the_window(page):
    """The canvas has a pixel for each of the screen, and nothing sticks out, at any width."""
    scale = page.browser.run("return devicePixelRatio")
    for width in (1280, 480, 800):
        page.browser.size(width, 900)
        page.browser.wait("return graph.canvas.width === Math.round(graph.frame.clientWidth * arguments[0])", scale)
        page.browser.wait("return document.documentElement.scrollWidth <= innerWidth")


def hovering_tells(page):
    """The tip has the name, the numbers and the shares."""
    tree = page.trees[0]
    frame = tree.widest(2)
    page.browser.move(*page.place(frame))
    tip = page.browser.wait("return !document.getElementById('tip').hidden && document.getElementById('tip').textContent")
    share = 100 * tree.total["bytes"][frame] / tree.total["bytes"][0]
    assert tree.name[frame] in tip and f"{tree.total['objects'][frame]:,} object" in tip, tip
    assert f"{share:.1f} % of all" in tip and "of the frame above" in tip, tip
    page.browser.move(5, 5)
    page.browser.wait("return document.getElementById('tip').hidden")


def a_click_zooms_and_escape_goes_back(page):
    """Zoom, breadcrumbs, address, Back, Esc."""
    tree = page.trees[0]
    frame = tree.widest(2)
    page.browser.move(*page.place(frame), click=True)
    page.settled(frame)
    assert "zoom=" in page.browser.run("return location.hash")
    crumbs = page.browser.run("return [...document.querySelectorAll('#crumbs button')].map((crumb) => crumb.textContent)")
    path = [tree.name[f] for f in [frame, *tree.above(frame)]][::-1]
    assert len(crumbs) == len(path) and all(c.startswith(p) for c, p in zip(crumbs, path)), crumbs
    left, right = page.browser.run("const box = graph.place(arguments[0]); return [box.left, box.right]", frame)
    assert right - left > 1200, "not as wide as the picture"
    page.browser.run("history.back()")
    page.settled(0)
    page.browser.run("history.forward()")
    page.settled(frame)
    page.browser.click("#crumbs button", 1)
    page.settled(tree.parent[frame])
    page.browser.press("Escape")
    page.settled(0)
    page.browser.wait("return document.getElementById('reset').disabled")


def keys_lead_about(page):
    """Down to a child, right to its sibling, Enter, Backspace."""
    tree = page.trees[0]
    first, second = [f for f in range(len(tree.depth)) if tree.parent[f] == 0][1:3]
    page.browser.run("graph.canvas.focus()")
    page.browser.press("Down", "Down", "Right")
    assert page.browser.run("return graph.selected") == second
    assert tree.name[second] in page.browser.run("return document.getElementById('status').textContent")
    page.browser.press("Left", "Enter")
    page.settled(first)
    page.browser.press("Backspace")
    page.settled(0)


def searches(page):
    """Ctrl-F, a regular expression, its share; what is none, as text; nothing found."""
    tree = page.trees[0]
    page.browser.press("f", held="Ctrl")
    page.browser.wait("return document.activeElement === document.getElementById('search')")
    name = tree.name[tree.widest(2)]
    word = max(re.findall(r"[A-Za-z]+", name), key=len)
    page.browser.press(*word)
    page.browser.wait("return state.search === arguments[0]", word)
    found = re.compile(word, 0 if re.search("[A-Z]", word) else re.I).search
    share = 100 * tree.matched("bytes", found) / tree.total["bytes"][0]
    said = page.text("#found")
    expected = "100 %" if share == 100 else "> 99.9 %" if share >= 99.95 else f"{share:.1f} %"
    assert said.startswith(f"{expected} matched"), (said, share)
    shown = page.column("frames", 6)
    assert shown and all(found(row) for row in shown), shown
    page.browser.press("Escape")
    page.browser.wait("return state.search === '' && document.getElementById('found').textContent === ''")
    page.browser.press(*"*(no such")
    page.browser.wait("return document.getElementById('found').textContent.startsWith('0 %')")
    assert page.column("frames", 6) == []


def tables_sort(page):
    """By total, by own value, by name, both ways; the numbers are right."""
    rows = page.trees[0].by_name("bytes")
    top = page.browser.run("return frameTable.rows.map((row) => [row.name, row.bytes, row.ownBytes])")
    strings = page.data["strings"]
    assert {strings[name]: (total, own) for name, total, own in top if name >= 0} == rows
    def sort(column):
        page.browser.click("#frames th button", column)
        return page.browser.run("""return [frameTable.rows.map((row) => [row.bytes, row.ownBytes, nameOfRow(row)]),
            document.querySelectorAll('#frames th')[arguments[0]].getAttribute('aria-sort')]""", column)
    for column, key, first in ((4, 1, "descending"), (6, 2, "ascending")):
        shown, order = sort(column)
        values = [row[key].encode("utf-16-be") if key == 2 else row[key] for row in shown]
        assert order == first and values == sorted(values, reverse=first == "descending"), (column, order)
        again, order = sort(column)
        values = [row[key].encode("utf-16-be") if key == 2 else row[key] for row in again]
        assert order != first and values == sorted(values, reverse=first != "descending"), (column, order)


def names_in_tables_search_and_zoom(page):
    """A click on a name finds it and nothing else; the sign before it zooms."""
    name = page.column("frames", 6)[2].removeprefix("⊕").strip()
    page.browser.click("#frames tbody tr:nth-child(3) td.name button:not(.zoom)")
    page.browser.wait("return state.search !== ''")
    assert page.browser.run("return DATA.strings.filter((_, i) => matches[i])") == [name]
    page.browser.click("#frames tbody tr:nth-child(1) td.name button.zoom")
    page.browser.wait("return state.zoom !== 0")
    assert page.browser.run("return DATA.strings[state.tree.name[state.zoom]]") == name


def more_rows_are_shown(page):
    """The button under a table that has more, until there are no more."""
    if page.browser.run("return document.querySelector('#frames .more').hidden"):
        return
    before = len(page.column("frames", 6))
    page.browser.click("#frames .more")
    after = page.browser.wait("return document.querySelectorAll('#frames tbody tr').length")
    assert before == 30 and after > before


def the_metric_switches(page):
    """Widths and shares by objects; siblings stay in their order."""
    tree = page.trees[0]
    first = tree.widest(1)
    page.browser.click("#metrics span", 1)
    page.browser.wait("return state.metric === 'objects'")
    left, right = page.browser.run("const box = graph.place(arguments[0]); return [box.left, box.right]", first)
    width = page.browser.run("return graph.frame.clientWidth")
    share = tree.total["objects"][first] / tree.total["objects"][0]
    assert abs((right - left) / width - share) < 0.002
    assert page.browser.run("return location.hash") == "#metric=objects"


def the_tree_switches(page):
    """Each tree has its numbers and its way to be read."""
    for i, tree in enumerate(page.trees[1:], 1):
        page.browser.click("#trees span", i)
        page.browser.wait("return state.tree.id === arguments[0]", tree.id)
        assert f"{tree.total['bytes'][0]:,} bytes" in page.text("#status")
        reading = page.browser.run("return [...document.querySelectorAll('#reading p')].map((p) => p.textContent)")
        assert reading == page.data["trees"][i]["how_to_read"]


def a_link_brings_all_back(page):
    """Tree, metric, zoom and search from the address; nonsense is passed over."""
    tree = page.trees[-1]
    frame = tree.widest(1)
    page.show(f"#tree={tree.id}&metric=objects&zoom={frame}&search=%5Ba-m%5D")
    assert page.state() == [tree.id, "objects", frame, "[a-m]"]
    assert "matched" in page.text("#found") and page.browser.run("return document.getElementById('search').value") == "[a-m]"
    shown = page.browser.run("return [location.hash, document.getElementById('frames-title').textContent]")
    assert tree.name[frame] in shown[1], shown
    page.show("#tree=__proto__&metric=constructor&zoom=1e9&search=%E0%A4%A")
    assert page.state()[:3] == [page.trees[0].id, page.data["metric"], 0]
    page.show("#zoom=-1&%%%")
    assert page.state()[2] == 0


def follows_the_colours_of_the_system(page):
    """Dark where the system is."""
    brightness = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    page.browser.size(1280, 900, dark=True)
    page.browser.wait(f"{brightness.replace('return', 'return 80 >')}")
    corner = "return graph.pen.getImageData(graph.canvas.width - 2, graph.canvas.height - 2, 1, 1).data[0] < 80"
    page.browser.wait(corner)


def prints(page):
    """The printed page has the picture."""
    assert len(base64.b64decode(page.browser.pdf())) > 20_000


def nothing_but_its_own_script_runs(page):
    """No element that a name has made, and the policy holds against what is put in later."""
    made = page.browser.run("""return [document.images.length, document.scripts.length, window.length,
        [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => a.name.startsWith("on"))).length,
        document.querySelectorAll("b, i, a").length > 0]""")
    assert made == [0, 2, 0, 0, True], made
    ran = page.browser.run("""const refused = [];
        const attempt = (what) => { try { what(); } catch (error) { refused.push(error.name); } };
        attempt(() => document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = 1'>"));
        attempt(() => { const s = document.createElement("script"); s.text = "window.ran = 1"; document.body.append(s); });
        attempt(() => { document.body.setAttribute("onclick", "window.ran = 1"); });
        document.body.click();
        document.body.setAttribute("style", "color: rgb(1, 2, 3)");
        return [refused.slice(0, 2), window.ran ?? null, getComputedStyle(document.body).color === "rgb(1, 2, 3)"]""")
    assert ran == [["TypeError", "TypeError"], None, False], ran


CHECKS = [
    shows_what_is_in_the_data, draws_frames_in_their_colours, is_as_sharp_and_as_wide_as_the_window, hovering_tells,
    a_click_zooms_and_escape_goes_back, keys_lead_about, searches, tables_sort, names_in_tables_search_and_zoom,
    more_rows_are_shown, the_metric_switches, the_tree_switches, a_link_brings_all_back,
    follows_the_colours_of_the_system, prints, nothing_but_its_own_script_runs]
# Those that break the policy on purpose.
VIOLATES = [nothing_but_its_own_script_runs]


def screenshots(page, folder, name):
    """Pictures for people."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, width, dark, fragment in (("", 1280, False, ""), ("-zoom", 1280, False, "#zoom=2&search=string"),
                                          ("-dark", 1280, True, ""), ("-narrow", 480, False, "")):
        page.show(fragment)
        page.browser.size(width, 900, dark)
        page.browser.wait("return graph.canvas.width > 0")
        (folder / f"{name}{suffix}.png").write_bytes(base64.b64decode(page.browser.screenshot()))


if __name__ == "__main__":
    main()
