//! Plain arrays in `f64`: what every operation means, written as plainly as it can be.

/// A dense array, last axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f64>,
}

impl Array {
    pub(super) fn from_fn(shape: &[usize], mut f: impl FnMut(&[usize]) -> f64) -> Self {
        let count: usize = shape.iter().product();
        let data = (0..count).map(|flat| f(&places(flat, shape))).collect();
        Self { shape: shape.to_vec(), data }
    }

    /// Numbers between -1 and 1 that look random and are always the same.
    pub(super) fn scattered(shape: &[usize], salt: u64) -> Self {
        let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self::from_fn(shape, |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f64 / f64::from(1 << 23)) - 1.0
        })
    }

    pub(super) fn at(&self, place: &[usize]) -> f64 {
        self.data[place.iter().zip(&self.shape).fold(0, |flat, (at, size)| flat * size + at)]
    }

    /// The element that a broadcast puts at `place`.
    pub(super) fn spread(&self, place: &[usize]) -> f64 {
        let lead = place.len() - self.shape.len();
        let own: Vec<usize> =
            self.shape.iter().zip(&place[lead..]).map(|(size, at)| if *size == 1 { 0 } else { *at }).collect();
        self.at(&own)
    }

    pub(super) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().map(|x| f(*x)).collect() }
    }

    pub(super) fn with(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self::from_fn(&joint(&self.shape, &other.shape), |place| f(self.spread(place), other.spread(place)))
    }

    /// Lines along an axis, each given to `f` and replaced by what it gives.
    pub(super) fn lines(&self, axis: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        Self::from_fn(&self.shape, |place| f(&self.line(place, axis))[place[axis]])
    }

    fn line(&self, place: &[usize], axis: usize) -> Vec<f64> {
        let mut place = place.to_vec();
        let each = |at| {
            place[axis] = at;
            self.at(&place)
        };
        (0..self.shape[axis]).map(each).collect()
    }

    /// One number for all elements over the axes.
    pub(super) fn reduce(&self, axes: &[usize], keep: bool, f: impl Fn(&[f64]) -> f64) -> Self {
        let kept: Vec<usize> =
            self.shape.iter().enumerate().map(|(axis, size)| if axes.contains(&axis) { 1 } else { *size }).collect();
        let reduced = Self::from_fn(&kept, |place| {
            let all = (0..self.data.len()).filter(|flat| {
                let other = places(*flat, &self.shape);
                (0..place.len()).all(|axis| axes.contains(&axis) || other[axis] == place[axis])
            });
            f(&all.map(|flat| self.data[flat]).collect::<Vec<_>>())
        });
        let shape = (0..kept.len()).filter(|axis| keep || !axes.contains(axis)).map(|axis| kept[axis]).collect();
        Self { shape, data: reduced.data }
    }

    pub(super) fn reshaped(&self, shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), data: self.data.clone() }
    }

    pub(super) fn swapped(&self) -> Self {
        let mut shape = self.shape.clone();
        let rank = shape.len();
        shape.swap(rank - 2, rank - 1);
        Self::from_fn(&shape, |place| {
            let mut place = place.to_vec();
            place.swap(rank - 2, rank - 1);
            self.at(&place)
        })
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let (rows, inner) = (self.shape[self.shape.len() - 2], self.shape[self.shape.len() - 1]);
        let columns = other.shape[other.shape.len() - 1];
        let batch = joint(&self.shape[..self.shape.len() - 2], &other.shape[..other.shape.len() - 2]);
        let spread = |array: &Self, lead: &[usize], row: usize, column: usize| {
            let own = array.shape.len() - 2;
            let mut place: Vec<usize> = array.shape[..own]
                .iter()
                .zip(&lead[lead.len() - own..])
                .map(|(size, at)| if *size == 1 { 0 } else { *at })
                .collect();
            place.extend([row, column]);
            array.at(&place)
        };
        Self::from_fn(&[batch.as_slice(), &[rows, columns]].concat(), |place| {
            let (lead, at) = place.split_at(batch.len());
            (0..inner).map(|k| spread(self, lead, at[0], k) * spread(other, lead, k, at[1])).sum()
        })
    }
}

fn places(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        place[axis] = flat % shape[axis];
        flat /= shape[axis];
    }
    place
}

/// The shape that two shapes are broadcast to.
fn joint(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    (0..rank).map(|axis| size(a, axis).max(size(b, axis))).collect()
}
