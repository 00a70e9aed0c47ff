//! What each object and each holder of roots retains: what the collector would free if it went away.

use objref_go::{ObjId, RootKind};
use objref_graph::{
    Entries, Flaw, NONE, Outgoing, ROOT, Successors, Sums, certify, dominators, retained,
};
use objref_mem::zeros;

use crate::roots::Holder;
use crate::snapshot::Snapshot;
use crate::stacks::StackNode;

/// What keeps an object alive all alone, and is the nearest that does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dominator {
    /// Another object.
    Object(u32),
    /// A root. For functions on stacks: they, with all that they called.
    Holder(Holder),
    /// None: it is held from several places that have nothing in common.
    Shared,
}

/// The dominator tree of the objects and the holders of roots.
#[derive(Clone, Debug)]
pub struct DominatorTree {
    /// Per object, as [`dominators()`] numbers them.
    idom: Vec<u32>,
    holders: Holders,
}

/// The dominator tree, and what everything retains.
#[derive(Clone, Debug)]
pub struct Retained {
    tree: DominatorTree,
    sums: Sums,
}

/// Numbers of the holders of roots: variables, then functions on stacks, then what the runtime holds.
#[derive(Clone, Copy, Debug)]
struct Holders {
    variables: u32,
    stacks: u32,
}

impl Holders {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            variables: snapshot.variables.len() as u32,
            stacks: snapshot.stacks.len() as u32,
        }
    }

    fn number(self, holder: Holder) -> u32 {
        match holder {
            Holder::Variable(index) => index,
            Holder::Stack(node) => self.variables + node.0,
            Holder::Runtime(kind) => self.variables + self.stacks + kind as u32,
        }
    }

    fn holder(self, number: u32) -> Holder {
        match number.checked_sub(self.variables) {
            None => Holder::Variable(number),
            Some(node) if node < self.stacks => Holder::Stack(StackNode(node)),
            Some(rest) => Holder::Runtime(RootKind::ALL[(rest - self.stacks) as usize]),
        }
    }

    /// The holder above, which holds what this one does; [`ROOT`] if there is none.
    fn parent(self, snapshot: &Snapshot, number: u32) -> u32 {
        match self.holder(number) {
            Holder::Stack(node) => match snapshot.stacks.parent(node) {
                Some(caller) => self.number(Holder::Stack(caller)),
                None => ROOT,
            },
            _ => ROOT,
        }
    }

    /// What each holds.
    fn entries(self, snapshot: &Snapshot) -> Entries {
        let parents = (0..self.len() as u32).map(|number| self.parent(snapshot, number));
        let parents = parents.collect();
        let roots = snapshot.roots.iter().chain(&snapshot.other_roots);
        let holds = roots.map(|root| (self.number(root.holder), root.target.0));
        Entries::new(parents, holds.collect())
    }

    fn len(self) -> usize {
        self.variables as usize + self.stacks as usize + RootKind::ALL.len()
    }
}

/// Whether everything retains itself and what those retain that it dominates.
fn adds_up(snapshot: &Snapshot, tree: &DominatorTree, sums: &Sums) -> bool {
    let holders = tree.holders;
    let objects = snapshot.objects.len() as u32;
    // What is left once the share of each is taken from what stands above it; never less than nothing.
    let (mut left, mut of_holders) = (sums.nodes.clone(), sums.entries.clone());
    let mut take = |above: u32, bytes: u64| {
        let left = match above.checked_sub(objects) {
            _ if above == ROOT => return true,
            None => &mut left[above as usize],
            Some(holder) => &mut of_holders[holder as usize],
        };
        let rest = left.checked_sub(bytes);
        *left = rest.unwrap_or(0);
        rest.is_some()
    };
    let order = snapshot.tree.order.iter().map(|o| *o as usize);
    let mut shares = order.map(|object| (tree.idom[object], sums.nodes[object]));
    let numbers = 0..holders.len() as u32;
    let mut above = numbers.map(|number| match holders.parent(snapshot, number) {
        ROOT => (ROOT, 0),
        parent => (objects + parent, sums.entries[number as usize]),
    });
    shares.all(|(above, bytes)| take(above, bytes))
        && above.all(|(above, bytes)| take(above, bytes))
        && of_holders.iter().all(|bytes| *bytes == 0)
        && snapshot.objects.objects().all(|(id, _, span)| {
            let own = match snapshot.is_reached(id.0) {
                true => span.elem_size,
                false => 0,
            };
            left[id.0 as usize] == own
        })
}

impl DominatorTree {
    /// The dominator tree over the references of `graph`, the heap that the snapshot is of. It is not asked for those that
    /// the snapshot has kept ([`LoadOptions::edges`](crate::LoadOptions::edges)), which are gone then.
    pub fn of<G: Successors>(graph: &G, snapshot: &Snapshot) -> DominatorTree {
        let kept = snapshot.edges.take();
        let edges = kept.unwrap_or_else(|| Outgoing::of(graph, &snapshot.tree));
        let holders = Holders::of(snapshot);
        DominatorTree {
            idom: dominators(edges, &snapshot.tree, &holders.entries(snapshot), zeros),
            holders,
        }
    }

    /// What keeps the object alive all alone; `None` if nothing keeps it alive.
    #[inline]
    pub fn dominator(&self, object: u32) -> Option<Dominator> {
        match self.idom[object as usize] {
            NONE => None,
            ROOT => Some(Dominator::Shared),
            above => Some(match above.checked_sub(self.idom.len() as u32) {
                None => Dominator::Object(above),
                Some(number) => Dominator::Holder(self.holders.holder(number)),
            }),
        }
    }
}

impl Retained {
    /// What everything retains by the references of `graph`, the heap that the snapshot is of.
    pub fn of<G: Successors>(graph: &G, snapshot: &Snapshot) -> Retained {
        let tree = DominatorTree::of(graph, snapshot);
        let size = |object| snapshot.objects.size(ObjId(object));
        let entries = tree.holders.entries(snapshot);
        let sums = retained(&snapshot.tree, &entries, &tree.idom, size);
        Retained { tree, sums }
    }

    /// Checks the tree over the same references, by its properties and without what found it.
    ///
    /// # Errors
    ///
    /// The first flaw, in words.
    pub fn certify<G: Successors>(&self, graph: &G, snapshot: &Snapshot) -> Result<(), String> {
        let Retained { tree, sums } = self;
        let entries = tree.holders.entries(snapshot);
        let size = |object| snapshot.objects.size(ObjId(object));
        let name = |node: u32| match node.checked_sub(snapshot.objects.len() as u32) {
            None => format!("{:#x}", snapshot.objects.address(ObjId(node))),
            Some(holder) => format!("{:?}", tree.holders.holder(holder)),
        };
        let checked = certify(graph, &snapshot.tree, &entries, size, &tree.idom, sums);
        checked.map_err(|flaw| match flaw {
            Flaw::Misplaced(node) => format!("{}: its dominator is out of place", name(node)),
            Flaw::Avoidable(node) => format!("{}: is reached past its dominator", name(node)),
            Flaw::NotNearest(node) => format!("{}: something nearer dominates it", name(node)),
            Flaw::Retained(node) => format!("{}: retains something else", name(node)),
        })
    }

    /// From columns that were written; `None` if they contradict the snapshot.
    pub(crate) fn from_columns(
        snapshot: &Snapshot,
        idom: Vec<u32>,
        retained: Vec<u64>,
        entries: Vec<u64>,
    ) -> Option<Retained> {
        let holders = Holders::of(snapshot);
        let objects = snapshot.objects.len();
        if [idom.len(), retained.len()] != [objects; 2] || entries.len() != holders.len() {
            return None;
        }
        // A dominator stands before what it dominates.
        let mut seen = vec![false; objects];
        for &object in &snapshot.tree.order {
            let above = idom[object as usize];
            let holds = match (above, (above as usize).checked_sub(objects)) {
                (ROOT, _) => true,
                (above, None) => seen[above as usize],
                (_, Some(holder)) => holder < holders.len(),
            };
            if !holds {
                return None;
            }
            seen[object as usize] = true;
        }
        let reached = |object: usize| snapshot.is_reached(object as u32);
        let mut all = idom.iter().enumerate();
        let holds = all.all(|(object, above)| (*above == NONE) != reached(object));
        let tree = DominatorTree { idom, holders };
        let sums = Sums {
            nodes: retained,
            entries,
        };
        (holds && adds_up(snapshot, &tree, &sums)).then_some(Retained { tree, sums })
    }

    /// Dominators by number, retained bytes of the objects, and of the holders.
    pub(crate) fn columns(&self) -> (&[u32], &[u64], &[u64]) {
        (&self.tree.idom, &self.sums.nodes, &self.sums.entries)
    }

    /// The dominator tree.
    pub fn tree(&self) -> &DominatorTree {
        &self.tree
    }

    /// What keeps the object alive all alone; `None` if nothing keeps it alive.
    pub fn dominator(&self, object: u32) -> Option<Dominator> {
        self.tree.dominator(object)
    }

    /// Bytes that the object keeps alive, its own included; 0 for garbage.
    pub fn bytes(&self, object: u32) -> u64 {
        self.sums.nodes[object as usize]
    }

    /// Bytes that the holder keeps alive. A function on a stack keeps what those that it called keep, too.
    pub fn holder_bytes(&self, holder: Holder) -> u64 {
        self.sums.entries[self.tree.holders.number(holder) as usize]
    }

    /// All holders of roots, those of nothing too: variables, then functions on stacks, callers first, then the
    /// runtime.
    pub fn holders(&self) -> impl Iterator<Item = Holder> {
        let holders = self.tree.holders;
        (0..holders.len() as u32).map(move |number| holders.holder(number))
    }
}
