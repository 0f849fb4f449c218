//! What hooks cost each service: `obi_target_cost_seconds_total`, and the share of a core lately. In: accounts of processes; out: [`Costs`].
//!
//! A process that ended goes on to count for its service. Services and processes are bounded; services beyond the bound are billed together.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use kafka_analyzer::capture::{Nanos, Pid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bucket::Budget;
use super::prices::{self, Prices};
use super::{Group, Spent};

const SERVICES: usize = 1024;
/// All services beyond that many.
const OTHERS: &str = "other";
/// The share of a core is over so many looks, one a second.
const LATELY: usize = 10;

/// What hooks cost, as the agent tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    pub prices: Vec<Price>,
    /// Prices were measured on this machine when the agent started; else they are assumed.
    pub measured: bool,
    pub services: Vec<ServiceCost>,
    /// Nanoseconds by pid.
    pub processes: BTreeMap<Pid, HookSeconds>,
}

/// What one hit costs beside the time within the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    pub site: String,
    pub ns: u64,
}

/// Seconds that a process spent in hooks, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HookSeconds {
    pub tls: f64,
    /// Calls of a client library that come once a batch or more seldom.
    pub batches: f64,
    pub each_message: f64,
}

/// What hooks cost the processes of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceCost {
    pub service: String,
    /// Since the agent began to watch.
    pub seconds: HookSeconds,
    /// Of one core, over the last 10 s; absent until it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Of one core: what may be spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// Time that the hooks on each message are attached, of all time; absent: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled_share: Option<f64>,
    /// Time in which the bodies of record batches are read, of all time; absent: they always are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_share: Option<f64>,
}

impl HookSeconds {
    fn new(ns: [u64; Group::ALL.len()]) -> HookSeconds {
        let [tls, batches, each_message] = ns.map(|ns| ns as f64 / 1e9);
        HookSeconds {
            tls,
            batches,
            each_message,
        }
    }

    pub fn total(&self) -> f64 {
        self.tls + self.batches + self.each_message
    }
}

#[derive(Default)]
struct Service {
    ns: [u64; Group::ALL.len()],
    /// When, and what was spent until then.
    lately: VecDeque<(Nanos, u64)>,
}

impl Service {
    fn total(&self) -> u64 {
        self.ns.iter().sum()
    }

    fn share(&self) -> Option<f64> {
        let (first, last) = (self.lately.front()?, self.lately.back()?);
        let time = last.0.checked_sub(first.0).filter(|time| *time > 0)?;
        Some(last.1.saturating_sub(first.1) as f64 / time as f64)
    }
}

#[derive(Default)]
pub struct Bill {
    processes: HashMap<Pid, (Arc<str>, Spent)>,
    services: BTreeMap<Arc<str>, Service>,
}

impl Bill {
    /// Books what a process spent since the last time; `name` is asked once.
    pub fn charge(&mut self, pid: Pid, spent: Spent, name: impl FnOnce() -> Arc<str>) {
        if spent == Spent::default() {
            return;
        }
        let services = &mut self.services;
        let new = || {
            let name = name();
            let known = services.len() < SERVICES || services.contains_key(&name);
            let name = if known { name } else { Arc::from(OTHERS) };
            (name, Spent::default())
        };
        let (name, before) = self.processes.entry(pid).or_insert_with(new);
        let service = services.entry(Arc::clone(name)).or_default();
        for ((sum, now), before) in service.ns.iter_mut().zip(spent.ns).zip(before.ns) {
            *sum = sum.saturating_add(now.saturating_sub(before));
        }
        *before = spent;
    }

    /// The process ended.
    pub fn close(&mut self, pid: Pid) {
        self.processes.remove(&pid);
    }

    /// After all were charged, once a second.
    pub fn costs(&mut self, now: Nanos, prices: &Prices) -> Costs {
        let services = self.services.iter_mut().map(|(name, service)| {
            if service.lately.len() > LATELY {
                service.lately.pop_front();
            }
            service.lately.push_back((now, service.total()));
            ServiceCost {
                service: name.to_string(),
                seconds: HookSeconds::new(service.ns),
                share: service.share(),
                budget: None,
                sampled_share: None,
                records_share: None,
            }
        });
        Costs {
            measured: prices.measured,
            services: services.collect(),
            processes: self
                .processes
                .iter()
                .map(|(pid, (_, spent))| (*pid, HookSeconds::new(spent.ns)))
                .collect(),
            prices: list(prices),
        }
    }
}

impl Bill {
    /// Adds what the processes of each service may cost, how much of the time hooks on each message are there (`shares`), and how much of it
    /// bodies of record batches are read (`bodies`; of who is not in there, always).
    pub fn limit(
        &self,
        costs: &mut Costs,
        budget: Budget,
        shares: &BTreeMap<Pid, f64>,
        bodies: &BTreeMap<Pid, f64>,
    ) {
        for cost in &mut costs.services {
            let of = |(_, (name, _)): &(&Pid, &(Arc<str>, Spent))| **name == *cost.service;
            let pids: Vec<Pid> = self
                .processes
                .iter()
                .filter(of)
                .map(|(pid, _)| *pid)
                .collect();
            if !budget.is_unlimited() && !pids.is_empty() {
                cost.budget = Some(budget.as_percent() / 100.0 * pids.len() as f64);
            }
            let shares: Vec<f64> = pids
                .iter()
                .filter_map(|pid| shares.get(pid).copied())
                .collect();
            if !shares.is_empty() {
                cost.sampled_share = Some(shares.iter().sum::<f64>() / shares.len() as f64);
            }
            if pids.iter().any(|pid| bodies.contains_key(pid)) {
                let read = pids
                    .iter()
                    .map(|pid| bodies.get(pid).copied().unwrap_or(1.0));
                cost.records_share = Some(read.sum::<f64>() / pids.len() as f64);
            }
        }
    }
}

pub fn list(prices: &Prices) -> Vec<Price> {
    let price = |(class, site): &(u8, &str)| Price {
        site: (*site).to_owned(),
        ns: prices.of(*class),
    };
    prices::NAMES.iter().map(price).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn spent(ns: [u64; 3]) -> Spent {
        Spent {
            ns,
            hits: [1; 3],
            bytes: 0,
        }
    }

    #[test]
    fn a_service_pays_for_all_of_its_processes_also_those_that_ended() {
        let mut bill = Bill::default();
        let orders = || Arc::from("orders");
        bill.charge(1, spent([0, 4, 0]), orders);
        bill.charge(1, spent([SECOND, 4, 0]), || unreachable!("it has its name"));
        bill.charge(2, spent([0, 0, SECOND / 2]), orders);
        bill.charge(3, Spent::default(), || unreachable!("it cost nothing"));
        bill.close(1);
        // Its pid is another's now.
        bill.charge(1, spent([7, 0, 0]), || Arc::from("mail"));
        let costs = bill.costs(SECOND, &Prices::ASSUMED);
        let [mail, orders] = costs.services.as_slice() else {
            panic!("{costs:?}")
        };
        assert_eq!(
            (mail.service.as_str(), mail.seconds.total()),
            ("mail", 7e-9)
        );
        assert_eq!(orders.seconds.tls, 1.0);
        assert_eq!(orders.seconds.batches, 4e-9);
        assert_eq!(orders.seconds.each_message, 0.5);
        assert_eq!(orders.share, None, "one look tells no rate");
        assert_eq!(costs.processes.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert!(!costs.measured && costs.prices.len() == 8);
    }

    #[test]
    fn budgets_are_of_processes_and_shares_the_mean_of_them() {
        let mut bill = Bill::default();
        bill.charge(1, spent([1, 0, 0]), || Arc::from("orders"));
        bill.charge(2, spent([1, 0, 0]), || Arc::from("orders"));
        bill.charge(3, spent([1, 0, 0]), || Arc::from("mail"));
        let mut costs = bill.costs(SECOND, &Prices::ASSUMED);
        let shares = BTreeMap::from([(1, 1.0), (2, 0.5), (9, 0.0)]);
        let bodies = BTreeMap::from([(2, 0.1), (9, 0.0)]);
        bill.limit(&mut costs, Budget::percent(0.5), &shares, &bodies);
        let told: Vec<_> = costs
            .services
            .iter()
            .map(|cost| (cost.budget, cost.sampled_share, cost.records_share))
            .collect();
        let orders = (Some(0.01), Some(0.75), Some(0.55));
        assert_eq!(told, [(Some(0.005), None, None), orders]);
        let mut costs = bill.costs(SECOND, &Prices::ASSUMED);
        bill.limit(&mut costs, Budget::percent(100.0), &shares, &bodies);
        assert!(costs.services.iter().all(|cost| cost.budget.is_none()));
    }

    #[test]
    fn the_share_is_that_of_the_last_ten_seconds() {
        let mut bill = Bill::default();
        let mut share = |second: u64, ns: u64| {
            bill.charge(1, spent([ns, 0, 0]), || Arc::from("orders"));
            let costs = bill.costs(second * SECOND, &Prices::ASSUMED);
            costs.services[0].share
        };
        assert_eq!(share(1, 1000), None);
        assert_eq!(share(2, 5_001_000), Some(0.005));
        for second in 3..20 {
            share(second, 5_001_000);
        }
        assert_eq!(share(20, 5_001_000), Some(0.0));
    }

    #[test]
    fn more_services_than_fit_are_billed_together() {
        let mut bill = Bill::default();
        for n in 0..SERVICES as u32 + 50 {
            bill.charge(n, spent([1, 0, 0]), || Arc::from(n.to_string()));
        }
        let costs = bill.costs(0, &Prices::ASSUMED);
        assert_eq!(costs.services.len(), SERVICES + 1);
        let others = costs.services.iter().find(|s| s.service == OTHERS).unwrap();
        assert_eq!(others.seconds.tls, 50e-9);
    }
}
