//! Small graphs for graphviz.

use std::fmt::Write as _;
use std::io::{self, Write};

use objref_analysis::{FrameTree, Metric, ROOT_FRAME, iec, thousands};
use petgraph::Graph;
use petgraph::dot::{Config, Dot};

use crate::colour::colour;
use crate::restore::{clean, shown};
use crate::text::percent;
use crate::walk;

/// A graph of boxes and arrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DotGraph {
    /// The headline.
    pub title: String,
    /// The boxes.
    pub nodes: Vec<DotNode>,
    /// The arrows.
    pub edges: Vec<DotEdge>,
}

/// A box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DotNode {
    /// What it says. The first line is a name, which decides its colour and is broken where it is long.
    pub lines: Vec<String>,
    /// The greater, the bigger the letters.
    pub weight: u64,
    /// Grey: it stands for what is not shown.
    pub grey: bool,
}

/// An arrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DotEdge {
    /// The index of the node that it starts from.
    pub from: usize,
    /// The index of the node that it leads to.
    pub to: usize,
    /// What it says.
    pub label: String,
    /// The greater, the thicker.
    pub weight: u64,
}

/// Characters of a name on a line.
const LINE: usize = 40;

/// Writes `graph` in the language of graphviz: `dot -Tsvg`. Arrows lead to the right, since names are
/// wide.
///
/// The sizes of letters follow the square roots of weights, the widths of arrows the weights, as in
/// pictures of pprof. Names are quoted, control characters in them become pictures of them. Arrows
/// whose ends are not there are left out.
///
/// # Errors
///
/// What `out` says.
pub fn dot(graph: &DotGraph, out: &mut dyn Write) -> io::Result<()> {
    let heaviest =
        |weights: &mut dyn Iterator<Item = u64>| weights.max().unwrap_or(0).max(1) as f64;
    let largest = heaviest(&mut graph.nodes.iter().map(|node| node.weight));
    let thickest = heaviest(&mut graph.edges.iter().map(|edge| edge.weight));

    let mut drawn: Graph<&DotNode, &DotEdge> = Graph::new();
    let ids: Vec<_> = graph
        .nodes
        .iter()
        .map(|node| drawn.add_node(node))
        .collect();
    for edge in &graph.edges {
        if let (Some(&from), Some(&to)) = (ids.get(edge.from), ids.get(edge.to)) {
            drawn.add_edge(from, to, edge);
        }
    }
    let node = |_: &Graph<_, _>, (_, node): (_, &&DotNode)| {
        let size = 8.0 + (16.0 * (node.weight as f64 / largest).sqrt()).ceil();
        let name = node.lines.first().map_or("", String::as_str);
        let [r, g, b] = colour(name, node.grey);
        let label = label(&node.lines);
        format!("label={label} fontsize={size} fillcolor=\"#{r:02x}{g:02x}{b:02x}\"")
    };
    let edge = |_: &Graph<_, _>, edge: petgraph::graph::EdgeReference<'_, &DotEdge>| {
        let edge = edge.weight();
        let width = 1.0 + 5.0 * edge.weight as f64 / thickest;
        format!("label={} penwidth={width:.1}", quoted(&edge.label))
    };
    let config = [
        Config::GraphContentOnly,
        Config::NodeNoLabel,
        Config::EdgeNoLabel,
    ];
    let content = Dot::with_attr_getters(&drawn, &config, &edge, &node);

    write!(
        out,
        "digraph {{
    rankdir=LR nodesep=0.1 ranksep=0.3
    label={} labelloc=t fontname=\"sans-serif\"
    node [shape=box style=filled color=\"#808080\" fontname=\"sans-serif\"]
    edge [color=\"#606060\" fontsize=9 fontname=\"sans-serif\"]
",
        quoted(&graph.title)
    )?;
    writeln!(out, "{content:?}}}")
}

/// The lines of a box, the first one broken.
fn label(lines: &[String]) -> String {
    let mut all = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            all.push('\n');
        }
        match i {
            0 => wrap(&clean(line), &mut all),
            _ => all.push_str(&clean(line)),
        }
    }
    quoted_lines(&all)
}

/// Breaks `name` behind a space or punctuation, or anywhere if there is none.
fn wrap(name: &str, out: &mut String) {
    let mut rest: &str = name;
    while let Some((end, _)) = rest.char_indices().nth(LINE) {
        let fits = &rest[..end];
        let at = fits
            .char_indices()
            .rev()
            .take(LINE / 2)
            .find(|(_, c)| " ./,;".contains(*c))
            .map_or(end, |(at, c)| at + c.len_utf8());
        out.push_str(rest[..at].trim_end());
        out.push('\n');
        rest = &rest[at..];
    }
    out.push_str(rest);
}

fn quoted(text: &str) -> String {
    quoted_lines(&clean(text))
}

/// `text` as a string of graphviz, in which a backslash starts an escape, a newline is one, and an
/// ampersand may start an entity of HTML.
fn quoted_lines(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '&' => quoted.push_str("&amp;"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `tree` as a graph: a box for each frame, an arrow to each from the one above it.
///
/// Letters are as big as what hangs from the frame itself by `metric`, arrows as wide as what is at
/// or below it. Whoever calls has cut the tree to a readable size before.
pub fn frame_graph(tree: &FrameTree, title: &str, metric: Metric) -> DotGraph {
    let totals = tree.totals();
    let whole = totals.bytes[ROOT_FRAME as usize];
    let by_metric = walk::totals(tree, metric);
    let mut graph = DotGraph {
        title: title.to_owned(),
        ..DotGraph::default()
    };
    for frame in tree.frames() {
        let at = frame as usize;
        let (bytes, objects) = (tree.self_bytes(frame), tree.self_objects(frame));
        let mut lines = vec![
            shown(&tree.label(frame)),
            amount(totals.bytes[at], totals.objects[at]),
        ];
        if let Some(line) = lines.last_mut()
            && frame != ROOT_FRAME
        {
            let _ = write!(line, " ({})", percent(totals.bytes[at], whole));
        }
        if objects > 0 && objects != totals.objects[at] {
            lines.push(format!("own {}", amount(bytes, objects)));
        }
        if let Some(retained) = tree.retained(frame).filter(|&retained| retained > 0) {
            lines.push(format!("retains {}", iec(retained)));
        }
        graph.nodes.push(DotNode {
            lines,
            weight: walk::own(tree, metric, frame),
            grey: tree.is_cut(frame),
        });
        if frame != ROOT_FRAME {
            graph.edges.push(DotEdge {
                from: tree.parent(frame) as usize,
                to: at,
                label: String::new(),
                weight: by_metric[at],
            });
        }
    }
    graph
}

fn amount(bytes: u64, objects: u64) -> String {
    let plural = if objects == 1 { "" } else { "s" };
    format!("{} in {} object{plural}", iec(bytes), thousands(objects))
}

#[cfg(test)]
mod tests {
    use super::{quoted, wrap};

    #[test]
    fn what_graphviz_would_take_for_its_own() {
        assert_eq!(quoted("a\"b\\n\\"), r#""a\"b\\n\\""#);
        assert_eq!(quoted("&lt;"), "\"&amp;lt;\"");
        assert_eq!(quoted("\x1b[31m\n"), "\"␛[31m␊\"");
    }

    #[test]
    fn long_names_are_broken() {
        let broken = |name: &str| {
            let mut out = String::new();
            wrap(name, &mut out);
            assert!(out.lines().all(|line| line.chars().count() <= super::LINE));
            out
        };
        assert_eq!(broken("next *main.node"), "next *main.node");
        assert_eq!(
            broken("[value] map[string]github.com/someone/something/v2.Thing"),
            "[value] map[string]github.com/someone/\nsomething/v2.Thing"
        );
        assert_eq!(broken(&"é".repeat(90)).lines().count(), 3);
    }
}
