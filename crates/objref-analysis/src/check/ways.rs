//! The way by which each object is held, chosen so that dumps of one program at different moments agree.
//!
//! The picture draws the shortest way from any root, and that changes from moment to moment: a request that is being
//! served has the store of all sessions on its stack, nearer than the variable that always holds it. Here variables come
//! first, then the main goroutine, then the others from the oldest on; each takes all that it reaches and that no one
//! before it does. Within one of these the shortest way counts.
//!
//! Equal ways are one frame of a [`FrameTree`], and a frame has a [`Signature`]: names are the stable ones, so that two
//! frames have two signatures. The runtime's own structs, which lead from a timer to all threads and goroutines, come
//! last, and have no signature.

use std::collections::BTreeMap;

use objref_go::{ObjId, RootKind};
use objref_snapshot::{
    Holder, NO_GOROUTINE, References, Retained, Root, Snapshot, StackNode, Word,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::baseline::RootAmount;
use crate::dominator_frames::SHARED;
use crate::paths::Chain;
use crate::policy::Threshold;
use crate::root_frames::full_name;
use crate::why_type::split_root;
use crate::{FrameTree, ROOT_FRAME, Signature, Totals, stable_name};

/// The way to each object.
pub(super) struct Ways<'a> {
    snapshot: &'a Snapshot,
    /// Frames of roots, and below each the steps.
    pub(super) tree: FrameTree,
    /// Bytes and objects at each frame and below.
    pub(super) totals: Totals,
    /// Per object its frame.
    pub(super) frame_of: Vec<u32>,
    /// Per object what refers to it on its way; [`NONE`] for a root.
    parent: Vec<u32>,
    roots: FxHashMap<u32, &'a Root>,
    /// Per frame whether it stays, and has a signature if it is big enough.
    kinds: Vec<Kind>,
    /// The frames of roots.
    holders: FxHashMap<u32, Holder>,
    /// What goroutines are for.
    entries: Entries,
    /// Of frames of goroutines, but the main one, how many these are.
    goroutines: FxHashMap<u32, u64>,
}

/// How much a way has to hold to have a signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    /// Bytes at its end and below.
    pub(super) bytes: u64,
    /// Elements, or goroutines, at its end: how many requests are being served differs from moment to moment, and the
    /// fewer they are, the more.
    elements: u64,
}

/// A number of this size that changes by chance hardly ever becomes an eighth of itself.
const CROWD: u64 = 32;
/// What holds as little as this part of what it takes to have a signature is remembered.
const SLACK: u64 = 8;

impl Floor {
    /// That many bytes, however few elements.
    pub(super) fn of_bytes(bytes: u64) -> Floor {
        Floor { bytes, elements: 0 }
    }

    /// For what is to be remembered, so that what is a bit smaller one day and a bit bigger the next is neither new nor
    /// gone.
    pub(super) fn slack(self) -> Floor {
        Floor {
            bytes: self.bytes.div_ceil(SLACK),
            elements: self.elements.div_ceil(SLACK),
        }
    }
}

const NONE: u32 = u32::MAX;
/// Not on any way yet.
const UNCLAIMED: u32 = ROOT_FRAME;

/// What a frame is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A part of a struct, or a struct: as many as there are of what holds it.
    Part,
    /// A root.
    Root,
    /// Elements of something that can grow without bound: a map, a slice, a channel, a list.
    Elements,
    /// What comes and goes by itself: the contents of pools, what the runtime is busy with.
    Transient,
}

/// What the main goroutine is for: as a root, it is as good as a variable.
const MAIN: &str = "main.main()";
// sync/pool.go: allPools, oldPools
const POOLS: [&str; 2] = ["sync.allPools", "sync.oldPools"];
/// What a reference to one of the runtime's own structs says.
const OF_RUNTIME: &str = "*runtime.";
/// What a sync.Pool keeps its contents in, for the collector to clear.
const POOL_CONTENTS: &str = "sync.poolLocal";

impl<'a> Ways<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, references: &References<'_>) -> Self {
        let mut claims = Claims::new(snapshot, references);
        for roots in turns(snapshot) {
            claims.claim(&roots);
        }
        claims.claim_late();
        let Claims {
            tree,
            frame_of,
            parent,
            roots,
            holders,
            entries,
            goroutines,
            ..
        } = claims;
        let totals = tree.totals();
        let mut ways = Ways {
            snapshot,
            tree,
            totals,
            frame_of,
            parent,
            roots,
            kinds: Vec::new(),
            holders,
            entries,
            goroutines,
        };
        ways.kinds = ways.classify();
        ways
    }

    fn classify(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = Vec::with_capacity(self.tree.len());
        for frame in self.tree.frames() {
            let above = self.tree.parent(frame);
            let name = self.tree.name(frame);
            let kind = match self.holders.get(&frame) {
                Some(holder) => match is_transient(self.snapshot, *holder) {
                    true => Kind::Transient,
                    false => Kind::Root,
                },
                None if frame == ROOT_FRAME => Kind::Part,
                None if kinds[above as usize] == Kind::Transient
                    || name.contains(POOL_CONTENTS)
                    || is_of_runtime(name) =>
                {
                    Kind::Transient
                }
                None => {
                    let path = match kinds[above as usize] {
                        Kind::Root => split_root(name).0,
                        _ => name.split_once(' ').map_or("", |(path, _)| path),
                    };
                    let is_list = self.tree.recursion_levels(frame).is_some();
                    match is_list || path.contains('[') {
                        true => Kind::Elements,
                        false => Kind::Part,
                    }
                }
            };
            kinds.push(kind);
        }
        kinds
    }

    /// What it takes to have a signature.
    pub(super) fn floor(&self, threshold: &Threshold) -> Floor {
        let live = self.totals.bytes[ROOT_FRAME as usize];
        let share = (live as f64 * threshold.percent / 100.0) as u64;
        Floor {
            bytes: share.max(threshold.bytes).max(1),
            elements: CROWD,
        }
    }

    /// The frames of ways that have a signature: roots that stay, and elements of what can grow.
    pub(super) fn with_signature(&self, floor: Floor) -> Vec<u32> {
        let is_enough = |frame: &u32| {
            let elements = match self.kinds[*frame as usize] {
                Kind::Root => self.goroutines.get(frame).copied().unwrap_or(u64::MAX),
                Kind::Elements => self.tree.self_objects(*frame),
                Kind::Part | Kind::Transient => return false,
            };
            elements >= floor.elements && self.totals.bytes[*frame as usize] >= floor.bytes
        };
        self.tree.frames().skip(1).filter(is_enough).collect()
    }

    /// Whether the frame stands for elements of something that can grow.
    pub(super) fn is_elements(&self, frame: u32) -> bool {
        self.kinds[frame as usize] == Kind::Elements
    }

    /// Whether `frame` is below `above`.
    pub(super) fn is_below(&self, mut frame: u32, above: u32) -> bool {
        // A parent has a smaller number.
        while frame > above {
            frame = self.tree.parent(frame);
        }
        frame == above
    }

    /// The names of a way, the root first.
    pub(super) fn names(&self, frame: u32) -> Vec<&str> {
        let mut names = Vec::new();
        let mut at = frame;
        while at != ROOT_FRAME {
            names.push(self.tree.name(at));
            at = self.tree.parent(at);
        }
        names.reverse();
        names
    }

    /// The signature of a frame's way.
    pub(super) fn signature(&self, frame: u32) -> Signature {
        let names = self.names(frame);
        let (root, steps) = names.split_at(names.len().min(1));
        Signature::of(root.iter().copied(), steps.iter().copied())
    }

    /// The way to an object; `None` if nothing holds it.
    pub(super) fn chain(&self, object: u32) -> Option<Chain<'a>> {
        if self.frame_of[object as usize] == UNCLAIMED {
            return None;
        }
        let mut objects = vec![object];
        let mut at = object;
        while self.parent[at as usize] != NONE {
            at = self.parent[at as usize];
            objects.push(at);
        }
        objects.reverse();
        Some(Chain {
            root: self.roots.get(&at)?,
            objects,
        })
    }

    /// For each of `frames` that has objects of its own, the first.
    pub(super) fn examples(&self, frames: &[u32]) -> FxHashMap<u32, u32> {
        let wanted: FxHashSet<u32> = frames.iter().copied().collect();
        let mut found = FxHashMap::default();
        for &object in &self.snapshot.tree.order {
            let frame = self.frame_of[object as usize];
            if wanted.contains(&frame) {
                found.entry(frame).or_insert(object);
            }
            if found.len() == wanted.len() {
                break;
            }
        }
        found
    }

    /// What each root holds and retains, in bytes, by its name in full: of goroutines, that of the function that says
    /// what they are for.
    pub(super) fn roots(&self, retained: &Retained) -> BTreeMap<String, RootAmount> {
        let mut roots: BTreeMap<String, RootAmount> = BTreeMap::new();
        let mut alone = 0;
        let is_whole = |holder: &Holder| self.entries.whole(*holder) == *holder;
        // What a function retains, those that it called do, too.
        for holder in retained.holders().filter(is_whole) {
            let bytes = retained.holder_bytes(holder);
            if bytes > 0 {
                let name = self.entries.name(self.snapshot, holder);
                roots.entry(name).or_default().retained += bytes;
                alone += bytes;
            }
        }
        for (frame, name) in self.root_frames() {
            roots.entry(name).or_default().held += self.totals.bytes[frame as usize];
        }
        let shared = self.totals.bytes[ROOT_FRAME as usize].saturating_sub(alone);
        roots.entry(SHARED.to_owned()).or_default().retained = shared;
        roots
    }

    /// The frames of roots, each with the root's name in full.
    pub(super) fn root_frames(&self) -> impl Iterator<Item = (u32, String)> {
        let name = |holder| self.entries.name(self.snapshot, holder);
        self.holders
            .iter()
            .map(move |(frame, holder)| (*frame, name(*holder)))
    }
}

/// Whether what a root holds comes and goes whatever the program does; of a stack, one of [`Entries`].
fn is_transient(snapshot: &Snapshot, holder: Holder) -> bool {
    match holder {
        Holder::Variable(index) => {
            let name = snapshot.variables[index as usize].as_str();
            POOLS.contains(&name) || is_of_runtime_package(name)
        }
        Holder::Stack(node) => is_of_runtime_package(snapshot.stacks.name(node)),
        Holder::Runtime(kind) => !matches!(kind, RootKind::Finalizer | RootKind::Cleanup),
    }
}

/// What goroutines are for.
struct Entries {
    /// Per function on a merged stack, the outermost that is not the runtime's, as `runtime.main` is.
    of: Vec<StackNode>,
    /// Per function that wraps the call of a `go` statement, the one that it calls, if that is but one: wrappers have
    /// numbers that change with the source.
    wrapped: FxHashMap<StackNode, Option<StackNode>>,
}

impl Entries {
    fn new(snapshot: &Snapshot) -> Self {
        let stacks = &snapshot.stacks;
        let mut of: Vec<StackNode> = Vec::with_capacity(stacks.len());
        let mut wrapped = FxHashMap::default();
        for node in (0..stacks.len() as u32).map(StackNode) {
            let caller = stacks.parent(node);
            // Callers stand before callees.
            let entry = caller.map(|caller| of[caller.0 as usize]);
            let of_runtime = |entry: &StackNode| is_of_runtime_package(stacks.name(*entry));
            of.push(entry.filter(|entry| !of_runtime(entry)).unwrap_or(node));
            if let Some(caller) = caller.filter(|caller| is_wrapper(stacks.name(*caller))) {
                let only = wrapped.entry(caller).or_insert(Some(node));
                *only = only.filter(|only| stacks.name(*only) == stacks.name(node));
            }
        }
        Entries { of, wrapped }
    }

    /// The whole of which a holder is a part.
    fn whole(&self, holder: Holder) -> Holder {
        match holder {
            Holder::Stack(node) => Holder::Stack(self.of[node.0 as usize]),
            other => other,
        }
    }

    /// The name in full of the root that a holder is a part of.
    fn name(&self, snapshot: &Snapshot, holder: Holder) -> String {
        let whole = match self.whole(holder) {
            Holder::Stack(node) => {
                let wrapped = self.wrapped.get(&node).copied().flatten();
                Holder::Stack(wrapped.unwrap_or(node))
            }
            other => other,
        };
        full_name(snapshot, whole)
    }
}

/// Whether the compiler made the function for a `go` statement: `main.f.gowrap1`.
// cmd/compile/internal/escape/call.go: rewriteCall; before go1.22 they are called func1, as closures are
fn is_wrapper(name: &str) -> bool {
    let number = name.rsplit_once(".gowrap").map(|(_, number)| number);
    number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
}

fn is_of_runtime_package(name: &str) -> bool {
    name.starts_with("runtime.") || name.starts_with("runtime/")
}

/// Whether the words of a step lead to one of the runtime's own structs.
fn is_of_runtime(step: &str) -> bool {
    let (_, leads_to) = step.split_once(' ').unwrap_or(("", step));
    leads_to.starts_with(OF_RUNTIME)
}

/// Roots in the order in which they take what they reach: those of one turn together.
fn turns(snapshot: &Snapshot) -> Vec<Vec<&Root>> {
    let (mut variables, mut rest) = (Vec::new(), Vec::new());
    let mut goroutines: BTreeMap<(bool, u64), Vec<&Root>> = BTreeMap::new();
    for root in snapshot.roots.iter().chain(&snapshot.other_roots) {
        let goroutine = snapshot.goroutines.list.get(root.place.goroutine as usize);
        match (root.holder, goroutine) {
            (holder, _) if root.place.goroutine == NO_GOROUTINE => {
                match holder {
                    Holder::Variable(_) if !is_transient(snapshot, holder) => &mut variables,
                    _ => &mut rest,
                }
                .push(root);
            }
            (_, Some(g)) => goroutines.entry((g.system, g.id)).or_default().push(root),
            (_, None) => rest.push(root),
        }
    }
    let mut turns = vec![variables];
    turns.extend(goroutines.into_values());
    turns.push(rest);
    turns
}

/// How one object refers to another.
#[derive(Clone, Copy)]
struct Step {
    /// The stable name, interned.
    name: u32,
    of_runtime: bool,
}

/// Ways while they are found.
struct Claims<'a, 'r, 'd> {
    snapshot: &'a Snapshot,
    references: &'r References<'d>,
    tree: FrameTree,
    frame_of: Vec<u32>,
    parent: Vec<u32>,
    roots: FxHashMap<u32, &'a Root>,
    /// What goroutines are for.
    entries: Entries,
    /// The frames of roots.
    holders: FxHashMap<u32, Holder>,
    /// Of frames of goroutines, but the main one, how many these are.
    goroutines: FxHashMap<u32, u64>,
    /// The frames of holders.
    frames: FxHashMap<Holder, u32>,
    /// The names of steps; `None` for those inside of a Go value.
    words: FxHashMap<Word, Option<Step>>,
    /// What only leads through the runtime's own structs so far: the object, what refers to it, and its frame.
    late: Vec<(u32, u32, u32)>,
    is_late: bool,
    /// What has been taken, and not been looked at.
    pending: Vec<u32>,
}

impl<'a, 'r, 'd> Claims<'a, 'r, 'd> {
    fn new(snapshot: &'a Snapshot, references: &'r References<'d>) -> Self {
        let objects = snapshot.objects.len();
        Claims {
            snapshot,
            references,
            tree: FrameTree::new(),
            frame_of: vec![UNCLAIMED; objects],
            parent: vec![NONE; objects],
            roots: FxHashMap::default(),
            entries: Entries::new(snapshot),
            holders: FxHashMap::default(),
            goroutines: FxHashMap::default(),
            frames: FxHashMap::default(),
            words: FxHashMap::default(),
            late: Vec::new(),
            is_late: false,
            pending: Vec::new(),
        }
    }

    fn claim(&mut self, roots: &[&'a Root]) {
        for root in roots {
            let target = root.target.0;
            if self.frame_of[target as usize] != UNCLAIMED {
                continue;
            }
            let above = self.root_frame(root.holder);
            let text = match (root.holder, self.snapshot.steps.text(root.step)) {
                // Which variable of which function it is changes from moment to moment.
                (Holder::Stack(_), text) => split_root(text).1,
                (_, text) => text,
            };
            let frame = match text {
                "" => above,
                text => {
                    let name = self.tree.intern(&stable_name(text));
                    self.tree.child(above, name)
                }
            };
            self.roots.insert(target, root);
            self.take(target, NONE, frame, 0);
        }
        self.spread();
    }

    fn claim_late(&mut self) {
        self.is_late = true;
        for (object, parent, frame) in std::mem::take(&mut self.late) {
            if self.frame_of[object as usize] == UNCLAIMED {
                self.take(object, parent, frame, 0);
            }
        }
        self.spread();
    }

    /// Takes what is reached from what has been taken.
    fn spread(&mut self) {
        let mut level = 0;
        // Breadth first: objects of one level stand together.
        let mut todo = 0..self.pending.len();
        while !todo.is_empty() {
            level += 1;
            let end = todo.end;
            for at in todo {
                self.expand(self.pending[at], level);
            }
            todo = end..self.pending.len();
        }
        self.pending.clear();
    }

    fn expand(&mut self, object: u32, level: u32) {
        let above = self.frame_of[object as usize];
        let references = self.references;
        references.each(object, |target, word| {
            if self.frame_of[target as usize] != UNCLAIMED {
                return;
            }
            match self.step(word) {
                None => self.take(target, object, above, level),
                Some(Step { name, of_runtime }) => {
                    let frame = self.tree.child(above, name);
                    match of_runtime && !self.is_late {
                        true => self.late.push((target, object, frame)),
                        false => self.take(target, object, frame, level),
                    }
                }
            }
        });
    }

    fn step(&mut self, word: Word) -> Option<Step> {
        if let Some(known) = self.words.get(&word) {
            return *known;
        }
        let text = self.references.text(self.snapshot, word);
        let name = match &*text {
            "" => None,
            text => Some(Step {
                name: self.tree.intern(&stable_name(text)),
                of_runtime: is_of_runtime(text),
            }),
        };
        self.words.insert(word, name);
        name
    }

    fn take(&mut self, object: u32, parent: u32, frame: u32, level: u32) {
        self.frame_of[object as usize] = frame;
        self.parent[object as usize] = parent;
        let bytes = self.snapshot.objects.size(ObjId(object));
        self.tree.add(frame, bytes, 1, level);
        self.pending.push(object);
    }

    /// The frame of a variable, of the function that goroutines are for, of a kind of the runtime's.
    fn root_frame(&mut self, holder: Holder) -> u32 {
        if let Some(&frame) = self.frames.get(&holder) {
            return frame;
        }
        let whole = self.entries.whole(holder);
        let name = self.entries.name(self.snapshot, holder);
        let frame = match self.frames.get(&whole) {
            Some(&frame) => frame,
            None => {
                let interned = self.tree.intern(&stable_name(&name));
                let frame = self.tree.child(ROOT_FRAME, interned);
                if let Holder::Stack(node) = whole
                    && name != MAIN
                {
                    let goroutines = self.snapshot.stacks.goroutines(node);
                    *self.goroutines.entry(frame).or_default() += u64::from(goroutines);
                }
                self.frames.insert(whole, frame);
                frame
            }
        };
        self.tree.set_barrier(frame);
        self.holders.entry(frame).or_insert(whole);
        self.frames.insert(holder, frame);
        frame
    }
}
