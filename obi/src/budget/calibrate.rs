//! What a hit costs on this machine. In: the loaded programs; out: [`Prices`].
//!
//! The agent hooks functions of its own that do nothing with the programs that it hooks others with, and times their calls with and without.
//! Of what a call costs more, the time that the program itself accounts for is taken away, because every process is charged with that apart.
//! The median of short rounds stands, so that an interruption spoils one round only. The hooks stay: nobody calls these functions again, and on older
//! kernels a detach takes a tenth of a second.

use std::time::{Duration, Instant};

use obi_abi::cost::CLASS_BITS;

use super::OwnSite;
use super::prices::Prices;
use super::samples::{SAMPLES, Sample};
use crate::attach::Kernel;
use crate::attach::costs::CostTable;

/// A group that no hook of others belongs to.
const OWN: u8 = 3;
const ROUNDS: usize = 11;
/// Calls of a round: as many as take about so long, within bounds.
const ROUND: Duration = Duration::from_micros(100);
const CALLS: u32 = 64;
const CALLS_LEAST: u32 = 8;
/// A hit dearer than this was not measured but interrupted, round for round.
const DEAREST: u64 = 1_000_000;

/// Prices of this machine, else [`Prices::ASSUMED`] with the reason in the log.
pub fn prices(kernel: &mut Kernel, costs: &CostTable) -> Prices {
    let began = Instant::now();
    let measured = measure(kernel, costs);
    costs.remove(std::process::id());
    match measured {
        Ok(prices) => {
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            tracing::info!(ns = ?prices.ns, micros, "prices of hooks measured");
            prices
        }
        Err(reason) => {
            tracing::warn!(%reason, "prices of hooks are assumed");
            Prices::ASSUMED
        }
    }
}

fn measure(kernel: &mut Kernel, costs: &CostTable) -> Result<Prices, String> {
    let bare = SAMPLES.map(|sample| timed(sample.function));
    let sites: Result<Vec<_>, String> = SAMPLES.iter().map(site).collect();
    kernel.attach_samples(&sites?)?;
    let mut prices = Prices {
        ns: [0; _],
        measured: true,
    };
    for (sample, bare) in SAMPLES.iter().zip(bare) {
        let own = || {
            costs
                .of(std::process::id())
                .unwrap_or(obi_abi::Costs::NOTHING)
        };
        // Also lets the kernel replace what it replaces.
        (sample.function)();
        let before = own();
        let hooked = timed(sample.function);
        let after = own();
        let cell = usize::from(OWN << CLASS_BITS | sample.class);
        let hits = after.hits.get(cell).zip(before.hits.get(cell));
        let calls = hits.map_or(0, |(after, before)| after.saturating_sub(*before));
        let ran = after
            .ran
            .get(usize::from(OWN))
            .zip(before.ran.get(usize::from(OWN)));
        let ran = ran.map_or(0, |(after, before)| after.saturating_sub(*before));
        if calls == 0 {
            return Err("a hook on the agent's own function was not hit".to_owned());
        }
        let others: u64 = sample
            .hits
            .iter()
            .filter(|class| **class != sample.class)
            .map(|class| prices.of(*class))
            .sum();
        let ns = hooked
            .saturating_sub(bare)
            .saturating_sub(ran / calls)
            .saturating_sub(others);
        if ns > DEAREST {
            return Err(format!("a hit seemed to take {ns} ns"));
        }
        if let Some(price) = prices.ns.get_mut(usize::from(sample.class)) {
            *price = ns;
        }
    }
    Ok(prices)
}

/// Nanoseconds a call: the median of the rounds.
fn timed(function: extern "C" fn()) -> u64 {
    let round = |calls: u32| {
        let began = Instant::now();
        for _ in 0..calls {
            std::hint::black_box(function)();
        }
        began.elapsed().checked_div(calls).unwrap_or_default()
    };
    let one = round(CALLS_LEAST).max(Duration::from_nanos(1));
    let fit = u32::try_from(ROUND.as_nanos() / one.as_nanos()).unwrap_or(CALLS);
    let calls = fit.clamp(CALLS_LEAST, CALLS);
    let mut rounds = [Duration::ZERO; ROUNDS];
    rounds.iter_mut().for_each(|ns| *ns = round(calls));
    rounds.sort_unstable();
    let median = rounds.get(ROUNDS / 2).copied().unwrap_or_default();
    u64::try_from(median.as_nanos()).unwrap_or(u64::MAX)
}

fn site(sample: &Sample) -> Result<OwnSite, String> {
    let address = sample.function as usize as u64;
    let offset = file_offset(address).ok_or("the agent's own file is not mapped")?;
    Ok(OwnSite {
        offset,
        cells: sample
            .hits
            .iter()
            .map(|class| OWN << CLASS_BITS | class)
            .collect(),
    })
}

/// Where an address of this process stands in its file.
pub(super) fn file_offset(address: u64) -> Option<u64> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        let offset = number(words.nth(1)?)?;
        let within = (start..end).contains(&address).then(|| address - start)?;
        offset.checked_add(within)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use obi_abi::cost::class;

    #[test]
    fn every_kind_of_site_has_a_price_of_its_own() {
        let mut kernel = Kernel::load(&Kernel::least()).unwrap();
        let costs = kernel.costs().unwrap();
        let began = Instant::now();
        let prices = prices(&mut kernel, &costs);
        let took = began.elapsed();
        println!("{prices:?} in {took:?}");
        assert!(prices.measured);
        for (class, ns) in prices.ns.iter().enumerate() {
            let shared = class == usize::from(class::SHARED);
            assert!(*ns > 50 || shared, "class {class}: {ns} ns");
            assert!(*ns < 100_000, "class {class}: {ns} ns");
        }
        // What is stepped traps twice.
        assert!(prices.of(class::STEPPED) > prices.of(class::EMULATED));
        let returning = |class: u8| prices.of(class::RETURN | class);
        assert!(returning(class::EMULATED) > prices.of(class::EMULATED));
        assert!(returning(class::STEPPED) > returning(class::EMULATED));
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
}
