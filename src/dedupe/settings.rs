//! What decides when two documents are near each other.

use super::banding::Banding;

/// What decides when two documents are near each other. [`Default`] holds the values that others use on code.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Words in a shingle, 1 to 64.
    pub ngram: usize,
    /// Registers of a sketch, 32 to 1024: the estimate is at least as sharp as one from this many permutations.
    pub permutations: usize,
    /// Jaccard similarity, 0.5 to 1, from which two documents are near. The estimate is noisy, so a pair is accepted
    /// from one standard error below (from 0.678 at the default settings): five in six of the pairs exactly at the
    /// threshold are found, and nearly all above it.
    pub threshold: f64,
    /// Drop equal documents only: nothing is sketched.
    pub exact_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ngram: 5, permutations: 256, threshold: 0.7, exact_only: false }
    }
}

/// A setting outside its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Not 1 to 64.
    #[error("ngram is {given}: set it to 1 to 64 words")]
    Ngram {
        /// What was set.
        given: usize,
    },
    /// Not 32 to 1024.
    #[error("permutations is {given}: set it to 32 to 1024")]
    Permutations {
        /// What was set.
        given: usize,
    },
    /// Not 0.5 to 1. Below one half, banding would list a large part of all documents for each.
    #[error("threshold is {given}: set it to a Jaccard similarity of 0.5 to 1")]
    Threshold {
        /// What was set.
        given: f64,
    },
}

impl Settings {
    /// Checks every setting against its range.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if !(1..=64).contains(&self.ngram) {
            return Err(SettingsError::Ngram { given: self.ngram });
        }
        if !(32..=1024).contains(&self.permutations) {
            return Err(SettingsError::Permutations { given: self.permutations });
        }
        if !(0.5..=1.0).contains(&self.threshold) {
            return Err(SettingsError::Threshold { given: self.threshold });
        }
        Ok(())
    }

    /// The bands that the settings lead to.
    pub fn banding(&self) -> Banding {
        Banding::choose(self.permutations, self.threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().validate(), Ok(()));
    }

    #[test]
    fn each_setting_out_of_range_is_named() {
        let base = Settings::default();
        for given in [0, 65] {
            let settings = Settings { ngram: given, ..base.clone() };
            assert_eq!(settings.validate(), Err(SettingsError::Ngram { given }));
        }
        for given in [0, 31, 1025] {
            let settings = Settings { permutations: given, ..base.clone() };
            assert_eq!(settings.validate(), Err(SettingsError::Permutations { given }));
        }
        for given in [0.0, 0.49, 1.01] {
            let settings = Settings { threshold: given, ..base.clone() };
            assert_eq!(settings.validate(), Err(SettingsError::Threshold { given }));
        }
        let settings = Settings { threshold: f64::NAN, ..base };
        assert!(settings.validate().is_err());
    }
}
