//! Locality-sensitive banding: which registers are looked up together (Leskovec, Rajaraman, Ullman, *Mining of
//! Massive Datasets*, section 3.4), here over registers cut to four bits.

use super::mix::scatter;
use super::sketch::REGISTER_BITS;

/// A band key fits into 32 bits.
const MOST_ROWS: usize = 32 / REGISTER_BITS;
/// Every band costs about five bytes a document; the bound on memory leaves room for this many.
const MOST_BANDS: usize = 32;
/// The share of pairs at the threshold itself that banding should list. Pairs above it fare better.
const TARGET: f64 = 0.99;

/// How a sketch is cut into bands: two documents are compared when all registers of some band agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banding {
    /// Bands, one table each.
    pub bands: usize,
    /// Registers in a band.
    pub rows: usize,
}

impl Banding {
    /// The longest bands (fewest needless comparisons) that still list 99 % of the pairs at the threshold, then as
    /// few of them as do; at most 32, without sharing registers. Where no length reaches that, single registers.
    pub(super) fn choose(permutations: usize, threshold: f64) -> Self {
        (1..=MOST_ROWS)
            .rev()
            .find_map(|rows| {
                (1..=MOST_BANDS.min(permutations / rows))
                    .map(|bands| Self { bands, rows })
                    .find(|banding| banding.listed(threshold) >= TARGET)
            })
            .unwrap_or(Self { bands: MOST_BANDS.min(permutations), rows: 1 })
    }

    /// The probability that two documents of this Jaccard similarity are compared: `1 - (1 - p^rows)^bands`, where
    /// `p = J + (1 - J) / 16` is the probability that two registers of four bits agree (Li, König 2010).
    pub fn listed(self, jaccard: f64) -> f64 {
        // Multiplied out, since `powi` may round differently from one machine to the next.
        let power = |base: f64, times: usize| (0..times).fold(1.0, |product, _| product * base);
        let agree = jaccard + (1.0 - jaccard) / f64::from(1 << REGISTER_BITS);
        1.0 - power(1.0 - power(agree, self.rows), self.bands)
    }

    /// The hash of one band's registers, which lie side by side in the packed sketch.
    #[inline]
    pub(super) fn hash(self, band: usize, packed: &[u64]) -> u64 {
        let bits = self.rows * REGISTER_BITS;
        let (word, shift) = (band * bits / 64, band * bits % 64);
        let mut key = packed[word] >> shift;
        if shift + bits > 64 {
            key |= packed[word + 1] << (64 - shift);
        }
        scatter(key & ((1 << bits) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_settings_give_32_bands_of_6() {
        assert_eq!(Banding::choose(256, 0.7), Banding { bands: 32, rows: 6 });
    }

    #[test]
    fn every_setting_in_range_gives_bands_that_fit_and_list_the_threshold() {
        for permutations in [32, 64, 100, 128, 200, 256, 512, 1024] {
            for percent in 50..=100 {
                let threshold = f64::from(percent) / 100.0;
                let banding = Banding::choose(permutations, threshold);
                assert!(banding.bands * banding.rows <= permutations, "{banding:?}");
                assert!(banding.bands <= MOST_BANDS && banding.rows <= MOST_ROWS, "{banding:?}");
                assert!(banding.listed(threshold) >= 0.99, "{permutations} {threshold} {banding:?}");
            }
        }
    }

    #[test]
    fn a_higher_threshold_needs_fewer_or_longer_bands() {
        let costs: Vec<_> =
            [0.5, 0.6, 0.7, 0.8, 0.9, 1.0].map(|threshold| Banding::choose(256, threshold)).into_iter().collect();
        assert!(costs.is_sorted_by(|a, b| a.rows < b.rows || a.bands >= b.bands), "{costs:?}");
    }

    #[test]
    fn the_keys_of_bands_follow_one_another_across_words() {
        let packed = [0xfedc_ba98_7654_3210, 0x0f1e_2d3c_4b5a_6978];
        let banding = Banding { bands: 5, rows: 6 };
        for (band, key) in [(0, 0x54_3210), (1, 0xba_9876), (2, 0x78_fedc), (3, 0x4b_5a69)] {
            assert_eq!(banding.hash(band, &packed), scatter(key), "band {band}");
        }
    }
}
