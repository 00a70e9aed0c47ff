//! The ways to objects as a small graph.

use std::collections::HashMap;

use objref_analysis::{Answer, HoldingPath, PathStep, Why, iec, short};

use crate::dot::{DotEdge, DotGraph, DotNode};

/// The paths that were found, each object and each root once.
pub fn why_graph(why: &Why) -> DotGraph {
    let mut drawn = Drawn::default();
    match &why.answer {
        Answer::Object(found) => {
            drawn.graph.title = format!("Who holds {:#x}", found.object.address);
            found.paths.iter().for_each(|path| drawn.path(path));
        }
        Answer::Type(found) => {
            drawn.graph.title = format!("Who holds {}, the first of each", found.names.join(", "));
            let examples = found.groups.iter().map(|group| &group.example);
            examples.for_each(|path| drawn.path(path));
        }
        Answer::Root(found) => {
            drawn.graph.title = format!("What {} refers to", found.name);
            let root = drawn.root(&found.name);
            for step in &found.references {
                drawn.step(root, step);
            }
        }
    }
    drawn.graph
}

#[derive(Default)]
struct Drawn {
    graph: DotGraph,
    roots: HashMap<String, usize>,
    objects: HashMap<u64, usize>,
}

impl Drawn {
    fn path(&mut self, path: &HoldingPath) {
        let mut at = self.root(&path.root.name);
        for (place, step) in path.steps.iter().enumerate() {
            if path.left_out.is_some_and(|gap| gap.after == place as u64) {
                let gap = DotNode {
                    lines: vec!["…".to_owned()],
                    weight: 1,
                    grey: true,
                };
                self.graph.nodes.push(gap);
                let gap = self.graph.nodes.len() - 1;
                self.edge(at, gap, "");
                at = gap;
            }
            at = self.step(at, step);
        }
    }

    fn root(&mut self, name: &str) -> usize {
        let nodes = &mut self.graph.nodes;
        *self.roots.entry(name.to_owned()).or_insert_with(|| {
            nodes.push(DotNode {
                lines: vec![name.to_owned()],
                weight: 1,
                grey: false,
            });
            nodes.len() - 1
        })
    }

    /// The box of the object that the step leads to.
    fn step(&mut self, from: usize, step: &PathStep) -> usize {
        let (nodes, object) = (&mut self.graph.nodes, &step.object);
        let to = *self.objects.entry(object.address).or_insert_with(|| {
            let (size, retained) = (iec(object.size), iec(object.retained));
            nodes.push(DotNode {
                lines: vec![
                    short(&object.type_name),
                    format!("{:#x}", object.address),
                    format!("{size}, retains {retained}"),
                ],
                weight: object.retained,
                grey: false,
            });
            nodes.len() - 1
        });
        let label = step.text.split(' ').next().unwrap_or_default();
        self.edge(from, to, label);
        to
    }

    fn edge(&mut self, from: usize, to: usize, label: &str) {
        let edge = DotEdge {
            from,
            to,
            label: label.to_owned(),
            weight: 1,
        };
        if !self.graph.edges.contains(&edge) {
            self.graph.edges.push(edge);
        }
    }
}
