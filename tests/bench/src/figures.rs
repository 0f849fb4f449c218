//! Figures of pairs of windows as text. In: pairs, a figure of each. Out: means, and differences with their 95 % intervals.

use crate::hooks::Hooks;
use crate::measure::{Pair, Sample};
use crate::statistics::{Estimate, estimate};

pub fn hooks(pair: &Pair) -> Option<Hooks> {
    Some(pair.on.agent.as_ref()?.hooks)
}

/// Share of the time that hooks on each message were attached, lately, in percent.
pub fn sampled(pairs: &[Pair]) -> String {
    mean(pairs, |pair| Some(hooks(pair)?.sampled? * 100.0))
}

pub fn mean(pairs: &[Pair], figure: impl Fn(&Pair) -> Option<f64>) -> String {
    let figures: Vec<f64> = pairs.iter().filter_map(figure).collect();
    estimate(&figures).map_or_else(|| "-".to_owned(), |found| number(found.mean))
}

/// What the agent adds.
pub fn added(pairs: &[Pair], figure: impl Fn(&Sample) -> f64) -> String {
    spread(pairs, |pair| Some(figure(&pair.on) - figure(&pair.off)))
}

pub fn spread(pairs: &[Pair], figure: impl Fn(&Pair) -> Option<f64>) -> String {
    let figures: Vec<f64> = pairs.iter().filter_map(figure).collect();
    match estimate(&figures) {
        Some(Estimate {
            mean,
            half: Some(half),
        }) => format!("{} ± {}", number(mean), number(half)),
        Some(Estimate { mean, half: None }) => number(mean),
        None => "-".to_owned(),
    }
}

/// Three significant digits or so.
pub fn number(x: f64) -> String {
    match x.abs() {
        large if large >= 100.0 => format!("{x:.0}"),
        middle if middle >= 10.0 => format!("{x:.1}"),
        small if small >= 1.0 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}
