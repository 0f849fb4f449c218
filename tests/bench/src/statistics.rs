//! Means of paired differences with their 95 % confidence intervals (Student's t). In: numbers. Out: a mean and how far it may be off.

/// Two-sided 95 % quantiles of Student's t for 1, 2, ... 30 degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// A mean; the true one lies within `mean ± half` in 95 of 100 repetitions. `half` is None for fewer than two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub mean: f64,
    pub half: Option<f64>,
}

pub fn estimate(numbers: &[f64]) -> Option<Estimate> {
    if numbers.is_empty() {
        return None;
    }
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let half = numbers.len().checked_sub(2).map(|at| {
        let t = T.get(at).copied().unwrap_or(1.96);
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
        t * (variance / count).sqrt()
    });
    Some(Estimate { mean, half })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // Known example: mean 5, s = 2, n = 4: half = 3.182 * 2 / 2.
        let found = estimate(&[3.0, 4.0, 5.5, 7.5]).unwrap();
        assert_eq!(found.mean, 5.0);
        let s = ((4.0 + 1.0 + 0.25 + 6.25) / 3.0_f64).sqrt();
        assert!((found.half.unwrap() - 3.182 * s / 2.0).abs() < 1e-9);
        assert_eq!(
            estimate(&[4.0]),
            Some(Estimate {
                mean: 4.0,
                half: None
            })
        );
        assert_eq!(estimate(&[]), None);
    }
}
