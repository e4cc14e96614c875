//! The table that the master loads for everybody.

/// The primes below a limit.
pub(crate) struct Primes(Vec<u32>);

impl Primes {
    pub(crate) fn below(limit: u32) -> Self {
        let mut is_prime = vec![true; limit as usize];
        let mut primes = Vec::new();
        for prime in 2..limit {
            if is_prime[prime as usize] {
                primes.push(prime);
                let square = (prime as usize).saturating_mul(prime as usize);
                (square..limit as usize)
                    .step_by(prime as usize)
                    .for_each(|multiple| is_prime[multiple] = false);
            }
        }
        Self(primes)
    }

    /// The prime factors of a number up to the square of the limit.
    pub(crate) fn factors(&self, mut number: u64) -> impl Iterator<Item = u64> {
        let mut primes = self.0.iter().map(|prime| u64::from(*prime)).peekable();
        std::iter::from_fn(move || {
            while primes.next_if(|prime| !number.is_multiple_of(*prime) && prime * prime <= number).is_some()
            {
            }
            if number == 1 {
                return None;
            }
            let factor = primes.peek().copied().filter(|prime| prime * prime <= number).unwrap_or(number);
            number /= factor;
            Some(factor)
        })
    }
}
