//! Joining the frames of several dumps.

use std::collections::BTreeMap;

use objref_analysis::{Amount, Change, FrameTree, JoinedTree, Metric, PruneOptions, ROOT_FRAME};
use proptest::prelude::*;

/// A path of small numbers for names, and bytes.
type Held = (Vec<u8>, u64);

fn tree(objects: &[Held]) -> FrameTree {
    let mut tree = FrameTree::new();
    for (path, bytes) in objects {
        let mut frame = ROOT_FRAME;
        for (level, step) in path.iter().enumerate() {
            let name = match level {
                0 => tree.intern(&format!("main.root{step}")),
                _ => tree.intern(&format!("f{step} *main.T{step}")),
            };
            frame = tree.child(frame, name);
            if level == 0 {
                tree.set_barrier(frame);
            }
        }
        tree.add(frame, *bytes, 1, path.len() as u32);
    }
    tree
}

fn dump() -> impl Strategy<Value = Vec<Held>> {
    let path = prop::collection::vec(0u8..4, 1..6);
    prop::collection::vec((path, 1u64..500), 0..60)
}

/// What hangs from each path of names.
fn by_path(tree: &FrameTree) -> BTreeMap<Vec<String>, Amount> {
    let mut all = BTreeMap::new();
    for frame in tree.frames() {
        let (bytes, objects) = (tree.self_bytes(frame), tree.self_objects(frame));
        let mut path = Vec::new();
        let mut at = frame;
        while at != ROOT_FRAME {
            path.insert(0, tree.name(at).to_owned());
            at = tree.parent(at);
        }
        if objects > 0 {
            all.insert(path, Amount { bytes, objects });
        }
    }
    all
}

fn by_joined_path(tree: &JoinedTree, dump: usize) -> BTreeMap<Vec<String>, Amount> {
    let own = tree.tree().frames().zip(tree.own(dump));
    own.filter(|(_, amount)| amount.objects > 0)
        .map(|(frame, amount)| (tree.path(frame), *amount))
        .collect()
}

fn changes(tree: &JoinedTree) -> Vec<Change> {
    let sides = tree
        .totals(0)
        .into_iter()
        .zip(tree.totals(tree.dumps() - 1));
    sides
        .map(|(before, after)| Change::between(before, after))
        .collect()
}

proptest! {
    #[test]
    fn every_dump_keeps_what_it_has_where_it_has_it(dumps in prop::collection::vec(dump(), 1..4)) {
        let trees: Vec<FrameTree> = dumps.iter().map(|dump| tree(dump)).collect();
        let (joined, became) = JoinedTree::join(&trees.iter().collect::<Vec<_>>());
        for (number, tree) in trees.iter().enumerate() {
            prop_assert_eq!(by_joined_path(&joined, number), by_path(tree));
            for (frame, &now) in tree.frames().zip(&became[number]) {
                prop_assert_eq!(tree.name(frame), joined.tree().name(now));
            }
        }
        // No two frames below one have the same name.
        let frames = joined.tree();
        let mut names: Vec<_> = frames.frames().skip(1).map(|f| (frames.parent(f), frames.name(f))).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len() + 1, frames.len());
    }

    #[test]
    fn changes_add_up_at_every_level_and_back_is_the_reverse(a in dump(), b in dump()) {
        let (a, b) = (tree(&a), tree(&b));
        let (there, _) = JoinedTree::join(&[&a, &b]);
        let total = changes(&there);
        let frames = there.tree();
        for frame in frames.frames() {
            let own = Change::between(there.own(0)[frame as usize], there.own(1)[frame as usize]);
            let children = frames.frames().skip(1).filter(|child| frames.parent(*child) == frame);
            let below: i64 = children.map(|child| total[child as usize].bytes).sum();
            prop_assert_eq!(total[frame as usize].bytes, own.bytes + below);
        }
        let whole = |tree: &FrameTree| tree.totals().bytes[0] as i64;
        prop_assert_eq!(total[0].bytes, whole(&b) - whole(&a));

        let (back, _) = JoinedTree::join(&[&b, &a]);
        let named = |tree: &JoinedTree, sign: i64| -> BTreeMap<Vec<String>, i64> {
            let all = tree.tree().frames().zip(changes(tree));
            all.map(|(frame, change)| (tree.path(frame), sign * change.bytes)).collect()
        };
        prop_assert_eq!(named(&there, 1), named(&back, -1));
        let (same, _) = JoinedTree::join(&[&a, &a]);
        prop_assert!(changes(&same).iter().all(|change| *change == Change::default()));
    }

    #[test]
    fn cutting_loses_nothing_of_any_dump(
        dumps in prop::collection::vec(dump(), 2..4),
        min_share in 0.0f64..0.5,
        max_depth in 1u32..6,
        max_frames in 1usize..20,
    ) {
        let trees: Vec<FrameTree> = dumps.iter().map(|dump| tree(dump)).collect();
        let (joined, _) = JoinedTree::join(&trees.iter().collect::<Vec<_>>());
        for metric in [Metric::Bytes, Metric::Objects] {
            let cut = joined.prune(&PruneOptions { metric, either: false, min_share, max_depth, max_frames });
            for dump in 0..joined.dumps() {
                prop_assert_eq!(cut.totals(dump)[0], joined.totals(dump)[0]);
                let before: BTreeMap<_, _> = joined.tree().frames().map(|f| joined.path(f)).zip(joined.totals(dump)).collect();
                for frame in cut.tree().frames().filter(|frame| !cut.tree().is_cut(*frame)) {
                    prop_assert_eq!(cut.totals(dump)[frame as usize], before[&cut.path(frame)]);
                }
            }
            let widths = |tree: &JoinedTree| tree.tree().totals().bytes[0];
            prop_assert_eq!(widths(&cut), widths(&joined));
        }
    }
}

#[test]
fn what_grows_all_the_time_is_known() {
    let held = |path: &[u8], bytes| (path.to_vec(), bytes);
    let first = tree(&[held(&[0, 1], 10), held(&[1, 1], 10)]);
    let second = tree(&[held(&[0, 1], 20), held(&[1, 1], 30)]);
    let third = tree(&[held(&[0, 1], 40), held(&[1, 1], 20)]);
    let (joined, _) = JoinedTree::join(&[&first, &second, &third]);
    let grown = joined.has_grown(Metric::Bytes);
    let names: Vec<&str> = joined
        .tree()
        .frames()
        .map(|f| joined.tree().name(f))
        .collect();
    let grown: Vec<(&str, bool)> = names.into_iter().zip(grown).collect();
    assert_eq!(
        grown,
        [
            ("all", true),
            ("main.root0", true),
            ("f1 *main.T1", true),
            ("main.root1", false),
            ("f1 *main.T1", false)
        ]
    );
    // As wide as the most that the first or the last has: what is gone is seen, too.
    assert_eq!(joined.tree().totals().bytes[0], 40 + 20);
}
