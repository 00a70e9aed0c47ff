//! One type per meaning of "address": tests hide mix-ups because the kinds often coincide.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! address_kind {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        pub struct $name(pub u64);

        impl $name {
            /// `self + n`, wrapping; reads check the result against what is mapped.
            #[inline]
            pub const fn add(self, n: u64) -> Self {
                Self(self.0.wrapping_add(n))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address_kind!(
    /// An address in the dumped process (the inferior).
    Addr
);
address_kind!(
    /// An address as the linker wrote it into ELF and DWARF, before the load bias.
    LinkAddr
);

/// What has to be added to a [`LinkAddr`] to get the [`Addr`] it was loaded at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LoadBias(pub u64);

impl LoadBias {
    /// The one place where a link-time address becomes an inferior address.
    #[inline]
    pub const fn to_addr(self, link: LinkAddr) -> Addr {
        Addr(link.0.wrapping_add(self.0))
    }

    /// The inverse of [`LoadBias::to_addr`].
    #[inline]
    pub const fn to_link(self, addr: Addr) -> LinkAddr {
        LinkAddr(addr.0.wrapping_sub(self.0))
    }
}
