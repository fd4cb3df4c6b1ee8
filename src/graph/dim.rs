//! Dimensions: known sizes, and names for sizes that only a run tells.
//!
//! Products of named sizes are names too (`batch*length`, `4*length`), so that a reshape which folds axes together and
//! another which unfolds them are checked also in models with named axes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The size of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A size known when the graph is built.
    Fixed(usize),
    /// A size told by each run; equal names are equal sizes. Graphs that are differentiated have none.
    Named(&'static str),
}

impl Dim {
    /// The size, when it is known.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Fixed(size) => Some(size),
            Self::Named(_) => None,
        }
    }

    pub(super) fn is_one(self) -> bool {
        self == Self::Fixed(1)
    }
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Self::Fixed(size)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// A shape of known sizes.
pub fn dims<const N: usize>(sizes: [usize; N]) -> [Dim; N] {
    sizes.map(Dim::Fixed)
}

/// A product of dimensions: a number times names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    factor: usize,
    names: Vec<&'static str>,
}

impl Extent {
    /// The number of elements of a shape.
    pub(super) fn of(shape: &[Dim]) -> Self {
        let mut extent = Self { factor: 1, names: Vec::new() };
        for dim in shape {
            match dim {
                Dim::Fixed(size) => extent.factor *= size,
                Dim::Named(name) => {
                    for part in name.split('*') {
                        match part.parse::<usize>() {
                            Ok(number) => extent.factor *= number,
                            Err(_) => extent.names.push(part),
                        }
                    }
                }
            }
        }
        extent.names.sort_unstable();
        extent
    }

    /// What `divisor` must be multiplied by to give this, when that is a product of dimensions.
    pub(super) fn divided_by(&self, divisor: &Self) -> Option<Dim> {
        if divisor.factor == 0 || !self.factor.is_multiple_of(divisor.factor) {
            return None;
        }
        let mut names = self.names.clone();
        for name in &divisor.names {
            let at = names.iter().position(|other| other == name)?;
            names.remove(at);
        }
        Some(Self { factor: self.factor / divisor.factor, names }.dim())
    }

    fn dim(&self) -> Dim {
        if self.names.is_empty() {
            return Dim::Fixed(self.factor);
        }
        let names = self.names.join("*");
        Dim::Named(interned(if self.factor == 1 { names } else { format!("{}*{names}", self.factor) }))
    }
}

/// One copy of every product's name lives as long as the program: there are as many as distinct reshapes.
fn interned(name: String) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name.as_str()) {
        return known;
    }
    let name: &'static str = Box::leak(name.into_boxed_str());
    names.insert(name);
    name
}

/// `[4, length, 8]`.
pub(super) fn shown(shape: &[Dim]) -> String {
    let parts: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_named_sizes_divide_again() {
        let whole = Extent::of(&[Dim::Named("batch"), 6.into(), Dim::Named("length")]);
        let folded = whole.divided_by(&Extent::of(&dims([2])));
        assert_eq!(folded, Some(Dim::Named("3*batch*length")));
        let again = Extent::of(&[Dim::Named("3*batch*length"), 2.into()]);
        assert_eq!(again, whole);
        assert_eq!(again.divided_by(&Extent::of(&[Dim::Named("length"), 6.into()])), Some(Dim::Named("batch")));
        assert_eq!(again.divided_by(&Extent::of(&[Dim::Named("other")])), None);
    }
}
