//! Exact fractions. Whatever does not fit 128 bits is none, never wrong.

use std::fmt;

/// A fraction in lowest terms, its denominator above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ratio {
    top: i128,
    bottom: i128,
}

impl Ratio {
    pub(super) const ZERO: Self = Self { top: 0, bottom: 1 };
    pub(super) const ONE: Self = Self { top: 1, bottom: 1 };

    /// `top / bottom`.
    pub(super) fn new(top: i128, bottom: i128) -> Option<Self> {
        if bottom == 0 || top == i128::MIN || bottom == i128::MIN {
            return None;
        }
        let common = gcd(top.unsigned_abs(), bottom.unsigned_abs()) as i128;
        let sign = bottom.signum();
        Some(Self { top: sign * top / common, bottom: bottom.abs() / common })
    }

    pub(super) fn whole(number: i128) -> Self {
        Self { top: number, bottom: 1 }
    }

    pub(super) fn top(self) -> i128 {
        self.top
    }

    pub(super) fn bottom(self) -> i128 {
        self.bottom
    }

    /// The number, if it is a whole one.
    pub(super) fn as_whole(self) -> Option<i128> {
        (self.bottom == 1).then_some(self.top)
    }

    pub(super) fn is_zero(self) -> bool {
        self.top == 0
    }

    pub(super) fn is_negative(self) -> bool {
        self.top < 0
    }

    pub(super) fn negated(self) -> Self {
        Self { top: -self.top, ..self }
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let left = self.top.checked_mul(other.bottom)?;
        let right = other.top.checked_mul(self.bottom)?;
        Self::new(left.checked_add(right)?, self.bottom.checked_mul(other.bottom)?)
    }

    pub(super) fn sub(self, other: Self) -> Option<Self> {
        self.add(other.negated())
    }

    pub(super) fn mul(self, other: Self) -> Option<Self> {
        // Crosswise first, so that what cancels does not overflow.
        let (a, b) = (Self::new(self.top, other.bottom)?, Self::new(other.top, self.bottom)?);
        Self::new(a.top.checked_mul(b.top)?, a.bottom.checked_mul(b.bottom)?)
    }

    pub(super) fn inverse(self) -> Option<Self> {
        Self::new(self.bottom, self.top)
    }

    pub(super) fn pow(self, exponent: i128) -> Option<Self> {
        let base = if exponent < 0 { self.inverse()? } else { self };
        if base == Self::ONE || base.is_zero() && exponent > 0 {
            return Some(base);
        }
        let exponent = u32::try_from(exponent.unsigned_abs()).ok()?;
        Self::new(base.top.checked_pow(exponent)?, base.bottom.checked_pow(exponent)?)
    }

    /// The largest whole number that is not above it.
    pub(super) fn floor(self) -> i128 {
        self.top.div_euclid(self.bottom)
    }

    /// A number as written with digits and at most one point.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let decimals = decimals.trim_end_matches('0');
        let digits = format!("{whole}{decimals}");
        let top = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        Self::new(top, 10_i128.checked_pow(u32::try_from(decimals.len()).ok()?)?)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bottom {
            1 => write!(f, "{}", self.top),
            bottom => write!(f, "{}/{bottom}", self.top),
        }
    }
}

pub(super) fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 {
        a.max(1)
    } else if a.is_multiple_of(b) {
        b
    } else {
        gcd(b, a % b)
    }
}
