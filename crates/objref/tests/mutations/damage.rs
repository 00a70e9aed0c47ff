//! Damage, by number.

use std::ops::Range;
use std::sync::Arc;

use objref_mem::Input;

use crate::run::input;
use crate::victim::{File, Victim};

/// What gets lost at once.
const PAGE: usize = 4096;

/// Decides by numbers that look random and are the same every time.
// splitmix64
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

pub(crate) struct Damager {
    dice: Dice,
    /// What was done.
    pub(crate) log: Vec<String>,
    /// What was there before, in the order in which it was overwritten.
    undo: Vec<(File, usize, Vec<u8>)>,
}

impl Damager {
    pub(crate) fn new(case: u64) -> Self {
        Damager {
            dice: Dice(case.wrapping_mul(0xd134_2543_de82_ef95)),
            log: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// Damages the victim; gives its files as they are now, the binary only if it is damaged.
    pub(crate) fn damage(&mut self, victim: &mut Victim) -> (Arc<Input>, Option<Arc<Input>>) {
        let kinds = if self.dice.one_in(4) { 3 } else { 1 };
        let (mut core_len, mut exe_len) = (victim.core.len(), victim.exe.len());
        for _ in 0..kinds {
            // Cores are broken more often, and more is read of them.
            let file = if self.dice.one_in(12) {
                File::Exe
            } else {
                File::Core
            };
            let of_file: Vec<usize> = (0..victim.targets.len())
                .filter(|i| victim.targets[*i].file == file)
                .collect();
            let target = *self.dice.pick(&of_file);
            if self.dice.one_in(20) {
                let place = self.dice.pick(&victim.targets[target].places).clone();
                let at = place.start + self.dice.below(place.len());
                let len = match file {
                    File::Core => &mut core_len,
                    File::Exe => &mut exe_len,
                };
                *len = at.min(*len);
                self.log.push(format!("{file:?} cut at {at}"));
                continue;
            }
            let times = *self.dice.pick(&[1, 1, 1, 2, 5, 40]);
            for _ in 0..times {
                let place = self.dice.pick(&victim.targets[target].places).clone();
                self.hit(victim, target, file, place);
            }
        }
        let whole = exe_len == victim.exe.len();
        let whole = whole && self.undo.iter().all(|(file, ..)| *file == File::Core);
        (
            input("core", &victim.core[..core_len]),
            (!whole).then(|| input("exe", &victim.exe[..exe_len])),
        )
    }

    /// Makes it good again.
    pub(crate) fn repair(self, victim: &mut Victim) {
        for (file, at, bytes) in self.undo.into_iter().rev() {
            let to = match file {
                File::Core => &mut victim.core,
                File::Exe => &mut victim.exe,
            };
            to[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    fn hit(&mut self, victim: &mut Victim, target: usize, file: File, place: Range<usize>) {
        let len = place.len();
        let word = if len >= 8 && !self.dice.one_in(4) {
            let at = place.start + self.dice.below(len / 8) * 8;
            at..at + 8
        } else {
            let at = place.start + self.dice.below(len);
            at..at + self.dice.below(len.min(4)).max(1).min(place.end - at)
        };
        let (what, at, bytes): (_, usize, Vec<u8>) = match self.dice.below(10) {
            0 => {
                let mut bytes = self.read(victim, file, &word).to_vec();
                let bit = self.dice.below(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                ("flip", word.start, bytes)
            }
            1 => {
                let span = self.dice.below(4096).max(8).min(place.end - word.start);
                let fill = *self.dice.pick(&[0, 0, 0xff]);
                ("fill", word.start, vec![fill; span])
            }
            2 => {
                let span = self.dice.below(256).max(8).min(place.end - word.start);
                let from = self.dice.pick(&victim.targets[target].places).clone();
                let span = span.min(from.len());
                let from = from.start + self.dice.below(from.len() - span + 1);
                let bytes = self.read(victim, file, &(from..from + span)).to_vec();
                ("splice", word.start, bytes)
            }
            3 => {
                let bytes = (0..word.len()).map(|_| self.dice.next() as u8).collect();
                ("noise", word.start, bytes)
            }
            4 => {
                let old = self.read(victim, file, &word).to_vec();
                let mut value = [0; 8];
                value[..old.len()].copy_from_slice(&old);
                let by = *self
                    .dice
                    .pick(&[1i64, -1, 8, -8, 7, 4096, -4096, 8192, -8192, 1 << 26]);
                let value = u64::from_le_bytes(value)
                    .wrapping_add(by as u64)
                    .to_le_bytes();
                ("shift", word.start, value[..old.len()].to_vec())
            }
            5 if word.len() == 8 && !victim.targets[target].wholes.is_empty() => {
                // What leads on leads back, or to itself.
                let value = self.dice.pick(&victim.targets[target].wholes).to_le_bytes();
                ("circle", word.start, value.to_vec())
            }
            6 => {
                let page = word.start / PAGE * PAGE;
                let all = match file {
                    File::Core => victim.core.len(),
                    File::Exe => victim.exe.len(),
                };
                ("wipe", page, vec![0; PAGE.min(all - page)])
            }
            7 if !victim.addresses.is_empty() => {
                let value = self.dice.pick(&victim.addresses).to_le_bytes();
                ("point", word.start, value[..word.len()].to_vec())
            }
            _ => {
                const WILD: [u64; 20] = [
                    0,
                    1,
                    2,
                    7,
                    8,
                    9,
                    16,
                    0x7f,
                    0xff,
                    0x1000,
                    0xffff,
                    0x1_0000,
                    0x7fff_ffff,
                    0xffff_ffff,
                    1 << 32,
                    1 << 40,
                    1 << 47,
                    1 << 63,
                    u64::MAX,
                    u64::MAX - 7,
                ];
                let value = self.dice.pick(&WILD).to_le_bytes();
                ("wild", word.start, value[..word.len()].to_vec())
            }
        };
        let name = &victim.targets[target].name;
        if self.log.len() < 8 {
            self.log
                .push(format!("{what} {} bytes at {at} ({name})", bytes.len()));
        }
        let range = at..at + bytes.len();
        let old = self.read(victim, file, &range).to_vec();
        self.undo.push((file, at, old));
        let to = match file {
            File::Core => &mut victim.core,
            File::Exe => &mut victim.exe,
        };
        to[range].copy_from_slice(&bytes);
    }

    fn read<'v>(&self, victim: &'v Victim, file: File, range: &Range<usize>) -> &'v [u8] {
        match file {
            File::Core => &victim.core[range.clone()],
            File::Exe => &victim.exe[range.clone()],
        }
    }
}
