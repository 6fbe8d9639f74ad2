//! Random numbers that stay the same for ever: a seed that failed once must
//! mean the same schedule with the next version of any library.

/// A sequence of random numbers: `SplitMix64` (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// The sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        // Neighbouring seeds must not begin alike.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6a09_e667_f3bc_c909)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where that is nothing.
    pub fn below(&mut self, end: u32) -> u32 {
        let wide = u128::from(self.next()) * u128::from(end);
        u32::try_from(wide >> 64).unwrap_or_default()
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u32, most: u32) -> u32 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// Yes in so many of a hundred cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    ///
    /// # Panics
    ///
    /// There must be one.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let count = u32::try_from(of.len()).unwrap_or(u32::MAX);
        of[self.below(count) as usize].clone()
    }

    /// One of them, as often as its weight says.
    ///
    /// # Panics
    ///
    /// There must be one with a weight.
    pub fn weighted<T: Clone>(&mut self, of: &[(u32, T)]) -> T {
        let mut at = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in of {
            if at < *weight {
                return item.clone();
            }
            at -= weight;
        }
        of[0].1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_numbers_for_ever() {
        let mut draw = Draw::new(7);
        let drawn: Vec<u32> = (0..6).map(|_| draw.below(1000)).collect();
        assert_eq!(drawn, [170, 871, 450, 614, 0, 558]);
    }

    #[test]
    fn what_weighs_nothing_is_never_drawn_and_the_rest_is() {
        let mut draw = Draw::new(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            seen.insert(draw.weighted(&[(0, 'a'), (1, 'b'), (9, 'c')]));
        }
        assert_eq!(seen.into_iter().collect::<String>(), "bc");
    }
}
