//! Which names there are at all: a pattern that matches none of them can never match.

use std::collections::BTreeSet;

use objref_go::GStatus;
use objref_snapshot::{Dump, Snapshot, StackNode, TypeId};

use crate::nearest;
use crate::policy::{Pattern, Subject};
use crate::types::package;

/// The names that a program has, whether there is something of that name in its heap or not.
pub(super) struct Known<'a> {
    snapshot: &'a Snapshot,
    dump: Option<&'a Dump>,
}

impl<'a> Known<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, dump: Option<&'a Dump>) -> Self {
        Known { snapshot, dump }
    }

    /// What of the subject nothing is called; `None` if it may match something some day.
    pub(super) fn complaint(&self, subject: &Subject) -> Option<String> {
        let (what, pattern, names, all) = match subject {
            Subject::Heap | Subject::Path(_) => return None,
            Subject::Type(pattern) => ("type", pattern, self.types(), true),
            Subject::Package(pattern) => ("package", pattern, self.packages(), true),
            Subject::Root(pattern) => ("root", pattern, self.roots(), self.dump.is_some()),
            Subject::Goroutines {
                function,
                state,
                label,
            } => {
                if let Some(pattern) = function
                    && let Some(complaint) = self.of_functions(pattern)
                {
                    return Some(complaint);
                }
                if let Some((key, _)) = label {
                    let sets = &self.snapshot.traces.labels;
                    let is_there = sets.iter().flatten().any(|(k, _)| k == key);
                    if !is_there {
                        return Some(format!("no goroutine has a label '{key}'"));
                    }
                }
                match state {
                    Some(pattern) => ("state", pattern, self.states(), true),
                    None => return None,
                }
            }
        };
        complaint(what, pattern, &names, all, Pattern::matches)
    }

    fn of_functions(&self, pattern: &Pattern) -> Option<String> {
        let all = self.dump.is_some();
        complaint(
            "function",
            pattern,
            &self.functions(),
            all,
            Pattern::matches_function,
        )
    }

    fn types(&self) -> BTreeSet<String> {
        let types = &self.snapshot.types;
        let all = (0..types.len() as u32).map(|id| types.get(TypeId(id)).name.clone());
        // As reports call them: the insides of maps, runs of values.
        let views = self.snapshot.distinct_views().iter();
        all.chain(views.map(|view| self.snapshot.view_name(view)))
            .collect()
    }

    fn packages(&self) -> BTreeSet<String> {
        let types = self.types();
        types.iter().map(|name| package(name).to_owned()).collect()
    }

    fn functions(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        let stacks = &self.snapshot.stacks;
        names.extend((0..stacks.len() as u32).map(|node| stacks.name(StackNode(node)).to_owned()));
        if let Some(Ok(functions)) = self.dump.map(|dump| dump.process.functions()) {
            names.extend(functions.functions().map(|f| f.name().to_owned()));
        }
        names
    }

    fn roots(&self) -> BTreeSet<String> {
        let functions = self.functions();
        let mut names: BTreeSet<String> = functions.iter().map(|f| format!("{f}()")).collect();
        names.extend(self.snapshot.variables.iter().cloned());
        if let Some(dump) = self.dump {
            let globals = dump.process.debug.globals().iter();
            names.extend(globals.map(|variable| variable.name.to_string()));
        }
        names.extend(crate::root_frames::runtime_roots());
        names.insert(crate::dominator_frames::SHARED.to_owned());
        names
    }

    fn states(&self) -> BTreeSet<String> {
        let goroutines = &self.snapshot.goroutines;
        let reasons = (1..=u8::MAX).map(|reason| goroutines.reasons.text(reason).to_owned());
        let statuses = [
            GStatus::Idle,
            GStatus::Runnable,
            GStatus::Running,
            GStatus::Syscall,
            GStatus::Waiting,
            GStatus::Preempted,
            GStatus::Leaked,
        ];
        reasons
            .chain(statuses.map(|status| status.name().to_owned()))
            .collect()
    }
}

/// That no name of `names` matches, and what may have been meant; `all`: whether there can be no others.
fn complaint(
    what: &str,
    pattern: &Pattern,
    names: &BTreeSet<String>,
    all: bool,
    matches: fn(&Pattern, &str) -> bool,
) -> Option<String> {
    if names.iter().any(|name| matches(pattern, name)) {
        return None;
    }
    let mut text = format!("no {what} is called {pattern}, so that this rule can never fail");
    // Pointers and slices to what may have been meant say nothing more.
    let is_plain = |name: &&String| !name.contains(['*', '[', '<']);
    let shorts = names.iter().filter(is_plain);
    let shorts: BTreeSet<String> = shorts.map(|name| objref_snapshot::short(name)).collect();
    let meant = nearest(pattern.as_str(), shorts.iter().map(String::as_str));
    if !meant.is_empty() {
        text.push_str(&format!("; there is {}", meant.join(", ")));
    }
    if !all {
        text.push_str(" (an index has only the names that are in use: check the core to be sure)");
    }
    Some(text)
}
