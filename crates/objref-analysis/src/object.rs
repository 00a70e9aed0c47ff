//! All that is known of one object.

use objref_go::ObjId;
use objref_mem::Addr;
use objref_snapshot::{
    Certainty, Dump, Form, Limits, References, Retained, Snapshot, Source, Values, View,
};

use crate::measure::holder_name;
use crate::object_report::{OBJECT_SCHEMA_VERSION, ObjectReport, Referrer, SpanFacts};
use crate::why::About;
use crate::{PathStep, Tool};

/// How much to say.
#[derive(Clone, Copy, Debug)]
pub struct ObjectOptions {
    /// The bytes themselves, too.
    pub raw: bool,
    /// References to show, each way.
    pub limit: usize,
    /// How much of the value.
    pub limits: Limits,
}

/// A slot longer than this is cut where its bytes are wanted.
const MAX_RAW: u64 = 1 << 16;

/// What is known of an object; what is in it only with the dump.
pub fn object(
    snapshot: &Snapshot,
    dump: Option<&Dump>,
    references: &References<'_>,
    retained: &Retained,
    (object, offset): (u32, u64),
    options: &ObjectOptions,
) -> ObjectReport {
    let about = About { snapshot, retained };
    let id = ObjId(object);
    let (span, at) = snapshot.objects.locate(id);
    let mut facts = about.facts(object);
    let values = dump.map(|dump| Values::new(dump, snapshot, options.limits));
    let view = snapshot.view(object).or_else(|| {
        // Nobody followed a reference to garbage.
        let ty = values.as_ref()?.stored(id)?;
        facts.type_name = snapshot.types.get(ty).name.clone();
        facts.certainty = Certainty::Exact.word().to_owned();
        Some(View {
            ty,
            form: Form::One,
            certainty: Certainty::Exact,
            source: Source::Allocator,
        })
    });
    let raw = dump.filter(|_| options.raw).and_then(|dump| {
        let len = span.elem_size.min(MAX_RAW) as usize;
        let bytes = dump.process.space.bytes(Addr(at), len).ok()?;
        Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    });
    let mut out = Vec::new();
    let mut out_count = 0;
    references.each(object, |target, word| {
        out_count += 1;
        if out.len() < options.limit {
            out.push(PathStep {
                text: references.text(snapshot, word).into_owned(),
                object: about.facts(target),
            });
        }
    });
    let (in_count, first) = references.referrers(&snapshot.tree.order, object, options.limit);
    let referred_by = first.into_iter().map(|from| {
        let mut text = None;
        references.each(from, |target, word| {
            if target == object && text.is_none() {
                text = Some(references.text(snapshot, word).into_owned());
            }
        });
        PathStep {
            text: text.unwrap_or_default(),
            object: about.facts(from),
        }
    });
    let reached = snapshot.is_reached(object);
    ObjectReport {
        schema_version: OBJECT_SCHEMA_VERSION,
        tool: Tool::this(),
        core: snapshot.facts.core.path.clone(),
        offset,
        told_by: told_by(view).to_owned(),
        span: SpanFacts {
            start: span.start,
            slots: u64::from(span.nelems),
            size_class: span.size_class,
            noscan: span.noscan,
        },
        distance: reached.then(|| distance(snapshot, object)),
        dominator: about.dominator(object),
        value: values
            .as_ref()
            .and_then(|values| Some(values.object(id, view?))),
        has_values: dump.is_some(),
        raw,
        object: facts,
        refers_to: out,
        refers_to_count: out_count,
        roots: roots(snapshot, id),
        referred_by: referred_by.collect(),
        referred_by_count: in_count,
    }
}

fn roots(snapshot: &Snapshot, object: ObjId) -> Vec<Referrer> {
    let all = snapshot.roots.iter().chain(&snapshot.other_roots);
    all.filter(|root| root.target == object)
        .map(|root| Referrer {
            name: holder_name(snapshot, root.holder),
            text: snapshot.steps.text(root.step).to_owned(),
        })
        .collect()
}

fn distance(snapshot: &Snapshot, object: u32) -> u32 {
    let parent = snapshot.tree.parents();
    let ups = std::iter::successors(Some(object), |at| {
        let above = parent[*at as usize];
        ((above as usize) < parent.len()).then_some(above)
    });
    ups.count() as u32 - 1
}

/// What told the type, in words.
fn told_by(view: Option<View>) -> &'static str {
    match view.map_or(Source::Nothing, |view| view.source) {
        Source::Nothing => "nothing",
        Source::Layout => "its layout",
        Source::Reference => "the type of a reference to it",
        Source::Code => "the code that it starts with",
        Source::Neighbour => "a type that lies beside a reference to it",
        Source::Record => "a record of the runtime",
        Source::Interface => "an interface that holds it",
        Source::Allocator => "the allocator, which keeps the type with it",
    }
}
