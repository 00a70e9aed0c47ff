//! Codes of views by numbers, so that a column of them takes two bytes an object: a heap has few that differ.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::memo::scattered;
use crate::view::Code;

/// In a column: there are no numbers left for the object's code.
pub(crate) const SPILLED: u16 = u16::MAX;

/// Codes that there are numbers for, and one more.
const CODES: usize = 1 << 16;
/// Places to look for a code: never more than half of them are taken.
const PLACES: usize = 2 * CODES;

/// Numbers of codes, given out as they are asked for, by whatever thread. That of what nothing is known of is 0.
#[derive(Debug)]
pub(crate) struct Codes {
    by_number: Box<[AtomicU32; CODES]>,
    /// Each code with its number, at the place where it belongs or the next that was free; 0 for one that is.
    by_code: Box<[AtomicU64; PLACES]>,
    /// How many numbers are given out.
    given: Mutex<u16>,
    /// Whether all are, and can be found.
    full: AtomicBool,
}

impl Default for Codes {
    fn default() -> Self {
        Codes {
            by_number: bytemuck::zeroed_box(),
            by_code: bytemuck::zeroed_box(),
            given: Mutex::new(1),
            full: AtomicBool::new(false),
        }
    }
}

/// Where the code belongs.
#[inline]
fn place(code: Code) -> usize {
    scattered(code.0.into(), PLACES.ilog2())
}

impl Codes {
    /// The code of this number, which was given out.
    #[inline]
    pub(crate) fn code(&self, number: u16) -> Code {
        // Whoever has the number read it after the code was here.
        Code(self.by_number[usize::from(number)].load(Ordering::Relaxed))
    }

    /// The code's number; `None` if there are none left.
    pub(crate) fn number(&self, code: Code) -> Option<u16> {
        // If it is full now, whatever has a number is found.
        let full = self.full.load(Ordering::Acquire);
        match self.find(code) {
            Ok(number) => Some(number),
            Err(_) if full => None,
            Err(_) => self.add(code),
        }
    }

    /// The code's number, if it is found at once, and else that of what nothing is known of.
    #[inline]
    pub(crate) fn near(&self, code: Code) -> u16 {
        let entry = self.by_code[place(code)].load(Ordering::Acquire);
        match entry >> 32 == u64::from(code.0) {
            true => entry as u16,
            false => 0,
        }
    }

    /// The code's number, or the free place where it would be.
    fn find(&self, code: Code) -> Result<u16, usize> {
        let mut place = place(code);
        loop {
            let entry = self.by_code[place % PLACES].load(Ordering::Acquire);
            if entry >> 32 == u64::from(code.0) {
                return Ok(entry as u16);
            }
            if entry == 0 {
                return Err(place % PLACES);
            }
            place += 1;
        }
    }

    #[cold]
    fn add(&self, code: Code) -> Option<u16> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *given;
        match self.find(code) {
            // Another thread came first.
            Ok(number) => Some(number),
            Err(_) if number == SPILLED => None,
            Err(place) => {
                self.by_number[usize::from(number)].store(code.0, Ordering::Relaxed);
                let entry = u64::from(code.0) << 32 | u64::from(number);
                self.by_code[place].store(entry, Ordering::Release);
                *given += 1;
                self.full.store(*given == SPILLED, Ordering::Release);
                Some(number)
            }
        }
    }

    /// The codes that there are numbers for, by number.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = Code> + '_ {
        let given = *self.given.lock().unwrap_or_else(PoisonError::into_inner);
        (0..given).map(|number| self.code(number))
    }

    /// The same numbers for the same codes.
    pub(crate) fn copy(&self) -> Codes {
        let copy = Codes::default();
        for code in self.numbered().skip(1) {
            copy.number(code);
        }
        copy
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn numbers_last_for_as_many_codes_as_there_are() {
        let codes = Codes::default();
        let code = |n: u32| Code(n.wrapping_mul(48271) + 1);
        let numbers = || (0..70_000).map(|n| (n, codes.number(code(n))));
        let mut found = Vec::new();
        thread::scope(|scope| {
            let others: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| numbers().collect::<Vec<_>>()))
                .collect();
            found = others.into_iter().map(|t| t.join().unwrap()).collect();
        });
        let copy = codes.copy();
        let mut given: Vec<u16> = Vec::new();
        for (n, number) in numbers() {
            assert!(found.iter().all(|found| found[n as usize] == (n, number)));
            if let Some(number) = number {
                assert_eq!(codes.code(number), code(n));
                assert_eq!(copy.code(number), code(n));
                given.push(number);
            }
        }
        given.sort_unstable();
        assert!(given.into_iter().eq(1..SPILLED));
        assert_eq!(codes.code(0), Code::UNKNOWN);
    }

    #[test]
    fn the_last_numbers_are_the_same_for_all_who_ask_at_once() {
        let code = |n: u32| Code(n.wrapping_mul(48271) + 1);
        let last = u32::from(SPILLED) - 20;
        for _ in 0..500 {
            let (codes, start) = (Codes::default(), Barrier::new(4));
            assert!((0..last).all(|n| codes.number(code(n)).is_some()));
            let ask = || (last..last + 40).map(|n| codes.number(code(n)));
            let found: Vec<Vec<_>> = thread::scope(|scope| {
                let asks = (0..4).map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        ask().collect()
                    })
                });
                let asks: Vec<_> = asks.collect();
                asks.into_iter().map(|ask| ask.join().unwrap()).collect()
            });
            assert!(found.iter().all(|found| found.iter().copied().eq(ask())));
        }
    }
}
