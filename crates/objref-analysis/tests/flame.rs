//! Folding, adding up and cutting trees of frames.

use objref_analysis::{FrameTree, Levels, Metric, PruneOptions, ROOT_FRAME};
use proptest::prelude::*;

/// Adds one object of `bytes` under `path`; the first step is the root.
fn add(tree: &mut FrameTree, path: &[&str], bytes: u64, level: u32) -> u32 {
    let mut frame = ROOT_FRAME;
    for (i, step) in path.iter().enumerate() {
        let name = tree.intern(step);
        frame = tree.child(frame, name);
        if i == 0 {
            tree.set_barrier(frame);
        }
    }
    tree.add(frame, bytes, 1, level);
    frame
}

fn dump(tree: &FrameTree) -> Vec<(u32, String, u64, u64)> {
    let totals = tree.totals();
    tree.frames()
        .map(|f| {
            let (bytes, objects) = (totals.bytes[f as usize], totals.objects[f as usize]);
            (tree.parent(f), tree.label(f).into_owned(), bytes, objects)
        })
        .collect()
}

#[test]
fn equal_paths_share_frames() {
    let mut tree = FrameTree::new();
    let a = add(&mut tree, &["main.cache", "[value] main.Order"], 64, 1);
    let b = add(&mut tree, &["main.cache", "[value] main.Order"], 32, 2);
    assert_eq!(a, b);
    assert_eq!(tree.levels(a), Some(Levels { min: 1, max: 2 }));
    assert_eq!(tree.levels(1), None);
    assert_eq!(
        dump(&tree),
        [
            (0, "all".into(), 96, 2),
            (0, "main.cache".into(), 96, 2),
            (1, "[value] main.Order".into(), 96, 2),
        ]
    );
}

#[test]
fn a_list_of_a_million_is_one_frame() {
    let mut tree = FrameTree::new();
    let (head, next) = (tree.intern("main.head"), tree.intern("next *main.node"));
    let mut frame = tree.child(ROOT_FRAME, head);
    tree.set_barrier(frame);
    for level in 0..1_000_000 {
        frame = tree.child(frame, next);
        tree.add(frame, 16, 1, level);
    }
    assert_eq!(tree.len(), 3);
    assert_eq!(tree.label(2), "next *main.node ↻ 1,000,000 levels deep");
    assert_eq!(tree.name(2), "next *main.node");
    assert_eq!(tree.totals().objects, [1_000_000; 3]);
}

#[test]
fn recursion_through_several_steps_folds_too() {
    let mut tree = FrameTree::new();
    let deep = [
        "main.root",
        "left",
        "right",
        "left",
        "left",
        "right",
        "value",
    ];
    let frame = add(&mut tree, &deep, 8, 6);
    assert_eq!(tree.len(), 5); // all, main.root, left, right, value
    assert_eq!(tree.name(tree.parent(frame)), "right");
    // One step that repeats, but all objects on one level: nothing to say about depth.
    assert_eq!(tree.recursion_levels(2), None);
}

#[test]
fn nothing_folds_into_the_root_part() {
    let mut tree = FrameTree::new();
    let frame = add(&mut tree, &["x", "x", "y"], 8, 2);
    assert_eq!(tree.len(), 4);
    assert_eq!(tree.parent(frame), 2);
    assert_eq!(tree.recursion_levels(1), None);
}

#[test]
fn what_is_cut_is_shown() {
    let mut tree = FrameTree::new();
    add(&mut tree, &["big", "a", "deep", "deeper"], 90, 3);
    add(&mut tree, &["big", "b"], 5, 1);
    add(&mut tree, &["big", "c"], 4, 1);
    add(&mut tree, &["small", "d"], 1, 1);
    let options = PruneOptions {
        min_share: 0.06,
        max_depth: 2,
        ..PruneOptions::default()
    };
    assert_eq!(
        dump(&tree.prune(&options)),
        [
            (0, "all".into(), 100, 4),
            (0, "big".into(), 99, 3),
            (1, "a".into(), 90, 1),
            (0, "(2 smaller frames)".into(), 1, 1),
            (1, "(2 smaller frames)".into(), 9, 2),
            (2, "(deeper: 2 frames)".into(), 90, 1),
        ]
    );
}

#[test]
fn nothing_to_cut_changes_nothing() {
    let mut tree = FrameTree::new();
    add(&mut tree, &["a", "b", "b"], 3, 2);
    add(&mut tree, &["a", "b"], 3, 1);
    let pruned = tree.prune(&PruneOptions::default());
    assert_eq!(dump(&pruned), dump(&tree));
    assert_eq!(pruned.label(2), "b ↻ 2 levels deep");
}

#[test]
fn big_by_either_measure() {
    let mut tree = FrameTree::new();
    add(&mut tree, &["one huge"], 1000, 1);
    for _ in 0..100 {
        add(&mut tree, &["many", "tiny"], 1, 1);
    }
    add(&mut tree, &["neither"], 5, 1);
    let names = |either| {
        let options = PruneOptions {
            min_share: 0.5,
            either,
            ..PruneOptions::default()
        };
        let tree = tree.prune(&options);
        tree.frames()
            .map(|f| tree.name(f).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(false), ["all", "one huge", "(3 smaller frames)"]);
    assert_eq!(
        names(true),
        ["all", "one huge", "many", "tiny", "(1 smaller frame)"]
    );
}

#[test]
fn retained_sizes_are_carried_not_added_up() {
    let mut tree = FrameTree::new();
    add(&mut tree, &["a"], 8, 0);
    let b = add(&mut tree, &["a", "b"], 8, 1);
    assert_eq!(tree.retained(b), None);
    assert_eq!(tree.prune(&PruneOptions::default()).retained(b), None);

    tree.add_retained(b, 100);
    tree.add_retained(b, 20);
    let c = add(&mut tree, &["a", "b", "c"], 1, 2);
    assert_eq!(
        [1, b, c].map(|f| tree.retained(f)),
        [Some(0), Some(120), Some(0)]
    );
    tree.add_retained(c, 7);
    let options = PruneOptions {
        max_depth: 1,
        ..PruneOptions::default()
    };
    let pruned = tree.prune(&options);
    assert_eq!(pruned.label(2), "(deeper: 2 frames)");
    assert_eq!(
        [0, 1, 2].map(|f| pruned.retained(f)),
        [Some(0), Some(0), Some(127)]
    );
}

fn paths() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
    prop::collection::vec((prop::collection::vec(0u8..6, 1..9), 0u64..1000), 0..60)
}

fn build(paths: &[(Vec<u8>, u64)]) -> FrameTree {
    let mut tree = FrameTree::new();
    for (path, bytes) in paths {
        let steps: Vec<String> = path.iter().map(|s| format!("step {s}")).collect();
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        add(&mut tree, &steps, *bytes, steps.len() as u32);
    }
    tree
}

proptest! {
    #[test]
    fn no_name_twice_on_a_path_below_the_barrier(paths in paths()) {
        let tree = build(&paths);
        for frame in tree.frames().skip(1) {
            prop_assert!(tree.parent(frame) < frame);
            let mut above = tree.parent(frame);
            // The last step before the barrier is the root's own frame, which does not count.
            while above != ROOT_FRAME && tree.parent(above) != ROOT_FRAME {
                prop_assert_ne!(tree.name(above), tree.name(frame));
                above = tree.parent(above);
            }
        }
        let sum: u64 = paths.iter().map(|(_, bytes)| bytes).sum();
        prop_assert_eq!(tree.totals().bytes[0], sum);
        prop_assert_eq!(tree.totals().objects[0], paths.len() as u64);
    }

    #[test]
    fn widths_add_up_whatever_is_cut(
        paths in paths(),
        min_share in prop_oneof![Just(0.0), 0.0..0.5f64],
        max_depth in prop_oneof![Just(u32::MAX), 0u32..6],
        max_frames in prop_oneof![Just(usize::MAX), 0usize..30],
        metric in prop_oneof![Just(Metric::Bytes), Just(Metric::Objects)],
        either in any::<bool>(),
    ) {
        let mut tree = build(&paths);
        for frame in tree.frames().skip(1).step_by(2) {
            tree.add_retained(frame, 1 << (frame % 32));
        }
        let retained = |tree: &FrameTree| tree.frames().filter_map(|f| tree.retained(f)).sum::<u64>();
        let options = PruneOptions { metric, either, min_share, max_depth, max_frames };
        let pruned = tree.prune(&options);
        let (before, after) = (tree.totals(), pruned.totals());
        prop_assert_eq!(after.bytes[0], before.bytes[0]);
        prop_assert_eq!(after.objects[0], before.objects[0]);
        prop_assert_eq!(retained(&pruned), retained(&tree));

        let kept = pruned.frames().filter(|&f| !pruned.is_cut(f)).count();
        prop_assert!(kept <= max_frames.max(1));
        prop_assert!(pruned.len() <= 2 * kept);

        // Every frame that is kept is the one it was, with its total and its own value.
        let path = |tree: &FrameTree, mut frame: u32| {
            let mut path = Vec::new();
            while frame != ROOT_FRAME {
                path.push(tree.name(frame).to_owned());
                frame = tree.parent(frame);
            }
            path
        };
        for frame in pruned.frames().filter(|&f| !pruned.is_cut(f)) {
            let old = tree.frames().find(|&f| path(&tree, f) == path(&pruned, frame)).unwrap();
            prop_assert_eq!(after.bytes[frame as usize], before.bytes[old as usize]);
            prop_assert_eq!(after.objects[frame as usize], before.objects[old as usize]);
            prop_assert_eq!(pruned.self_bytes(frame), tree.self_bytes(old));
            prop_assert_eq!(pruned.retained(frame), tree.retained(old));
        }
    }
}
