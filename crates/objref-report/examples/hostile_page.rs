//! Writes the page of a heap whose names try everything to be more than text: `scripts/check_html.py` opens it.

use std::io;

use objref_analysis::{
    Amount, Certain, Diagnostic, FrameTree, Metric, PruneOptions, ROOT_FRAME, Summary, TypeReport,
    TypeRow,
};
use objref_report::{HtmlReport, HtmlTree, Order, html};

/// What a name might be.
pub const NAMES: [&str; 14] = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>alert(1)//-->",
    "]]></script><script>alert(1)</script>",
    "\" onmouseover=\"alert(1)",
    "' autofocus onfocus='alert(1)",
    "javascript:alert(1)",
    "${alert(1)} `${alert(1)}`",
    "\\u003cscript>\\\";alert(1)//",
    "\u{2028}alert(1)\u{2029}",
    "\u{1b}[31mred\u{1b}]0;title\u{7}",
    "line\r\nbreak\ttab\0nul",
    "\u{202e}gnp.exe \u{2066}x",
    "&lt;b&gt;&amp;{{script}}{{data}}$&$1",
    "__proto__",
];

/// A tree with every name below every other one.
fn tree(weight: u64) -> FrameTree {
    let mut tree = FrameTree::new();
    for (i, above) in NAMES.iter().enumerate() {
        let above = tree.intern(above);
        let above = tree.child(ROOT_FRAME, above);
        tree.set_barrier(above);
        tree.add(above, 8, 1, 0);
        for (j, name) in NAMES.iter().enumerate() {
            let name = tree.intern(name);
            let frame = tree.child(above, name);
            tree.add(
                frame,
                16 + (i as u64 * 14 + j as u64) * weight,
                1 + j as u64,
                1,
            );
        }
    }
    tree
}

/// Writes the page.
pub fn main() -> io::Result<()> {
    let (paths, others) = (tree(16), tree(48));
    let text = NAMES.join("; ");
    let mut summary = Summary::default();
    summary.core.path.clone_from(&text);
    summary.core.command = Some(text.clone());
    summary.binary.path.clone_from(&text);
    summary.go.version.clone_from(&text);
    summary.heap.live = Amount {
        bytes: paths.totals().bytes[0],
        objects: paths.totals().objects[0],
    };
    summary.diagnostics.push(Diagnostic {
        code: text.clone(),
        message: text.clone(),
        count: 2,
    });
    let rows = NAMES.map(|name| TypeRow {
        name: name.to_owned(),
        amount: Amount {
            bytes: 64,
            objects: 4,
        },
        certainty: vec![Certain {
            certainty: name.to_owned(),
            amount: Amount::default(),
        }],
    });
    let types = TypeReport {
        rows: rows.into(),
        ..TypeReport::default()
    };
    let second = HtmlTree {
        id: "second",
        title: NAMES[0],
        how_to_read: &NAMES,
        tree: &others,
    };
    let report = HtmlReport {
        title: text,
        summary: &summary,
        types: &types,
        trees: vec![HtmlTree::shortest_paths(&paths), second],
        prune: PruneOptions::default(),
        metric: Metric::Bytes,
        order: Order::Size,
        roots_at_bottom: false,
    };
    html(&report, &mut io::stdout().lock())
}
