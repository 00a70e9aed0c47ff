//! How many slots of each size class there are, by the runtime's own counters: a core that was cut short has these, for they
//! are variables.

use crate::heap::classes::{CLASS_PAGES, SIZE_CLASSES};
use crate::heap::span::{PAGE, RawSpan};

/// What the allocator counted.
// runtime/mstats.go: heapStatsDelta
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Slots in use by size class, large objects under 0.
    pub slots: Vec<u64>,
    /// Bytes of large objects.
    pub large: u64,
}

/// Logarithms of how likely a span is of each kind.
pub(super) struct Priors {
    classes: [f64; SIZE_CLASSES.len()],
    /// Pages of a large object, on average.
    large_pages: f64,
}

impl Priors {
    /// By what the census tells beside the spans that are known.
    pub(super) fn new(census: &Census, known: &[RawSpan]) -> Priors {
        let mut slots = [0u64; SIZE_CLASSES.len()];
        for (slots, counted) in slots.iter_mut().zip(&census.slots) {
            *slots = *counted;
        }
        let mut large = census.large;
        for span in known {
            let class = usize::from(span.size_class());
            if let Some(slots) = slots.get_mut(class) {
                *slots = slots.saturating_sub(span.alloc_count);
            }
            if class == 0 {
                large = large.saturating_sub(span.elem_size);
            }
        }
        // A processor holds one span of each class, of which the counters do not tell yet.
        let spans: [f64; SIZE_CLASSES.len()] = std::array::from_fn(|class| match class {
            0 => 1.0 + slots[0] as f64,
            _ => {
                let room = u64::from(CLASS_PAGES[class]) * PAGE / SIZE_CLASSES[class];
                1.0 + (slots[class] as f64) / room as f64
            }
        });
        let all: f64 = spans.iter().sum();
        Priors {
            classes: spans.map(|n| (n / all).ln()),
            large_pages: (large as f64 / PAGE as f64 / slots[0].max(1) as f64).clamp(5.0, 1e6),
        }
    }

    /// Of a span of one of the size classes.
    pub(super) fn small(&self, class: usize) -> f64 {
        self.classes[class]
    }

    /// Of a large object of so many pages.
    pub(super) fn large(&self, pages: usize) -> f64 {
        self.classes[0] - self.large_pages.ln() - pages as f64 / self.large_pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_more_of_is_more_likely() {
        let mut slots = vec![0; SIZE_CLASSES.len()];
        slots[5] = 17_000;
        let census = Census { slots, large: 0 };
        let priors = Priors::new(&census, &[]);
        assert!(priors.small(5) > priors.small(6) + 3.0);
        assert_eq!(priors.small(6), priors.small(7));
        // Nothing was counted, or nobody knows.
        let unknown = Priors::new(&Census::default(), &[]);
        assert_eq!(unknown.small(5), unknown.small(6));
        assert!(unknown.large(5) > unknown.large(500) && unknown.large(1 << 40).is_finite());
    }
}
