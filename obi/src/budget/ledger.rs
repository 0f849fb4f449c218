//! Accounts of processes. In: the kernel's map `COSTS`; out: [`Spent`].
//!
//! One look at one process is one system call, so that a window can be watched closely. The kernel may forget a process that was charged
//! longest ago when there are too many: its account goes on from there.

use std::collections::HashMap;

use kafka_analyzer::capture::Pid;
use obi_abi::Costs;
use obi_abi::cost::CLASS_BITS;

use super::Group;
use super::prices::Prices;
use crate::attach::costs::CostTable;

/// Nanoseconds and hits since the first hit, by group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub ns: [u64; Group::ALL.len()],
    pub hits: [u64; Group::ALL.len()],
    /// That passed through hooked calls.
    pub bytes: u64,
}

impl Spent {
    pub fn of(&self, group: Group) -> u64 {
        self.ns
            .get(usize::from(group.number()))
            .copied()
            .unwrap_or(0)
    }

    pub fn total(&self) -> u64 {
        self.ns.iter().sum()
    }

    fn new(costs: &Costs, prices: &Prices) -> Spent {
        let mut spent = Spent {
            bytes: costs.bytes,
            ..Spent::default()
        };
        for (cell, hits) in costs.hits.iter().enumerate() {
            let class = cell as u8 & ((1 << CLASS_BITS) - 1);
            let group = cell >> CLASS_BITS;
            if let (Some(ns), Some(all)) = (spent.ns.get_mut(group), spent.hits.get_mut(group)) {
                *ns = ns.saturating_add(hits.saturating_mul(prices.of(class)));
                *all = all.saturating_add(*hits);
            }
        }
        for (ns, ran) in spent.ns.iter_mut().zip(&costs.ran) {
            *ns = ns.saturating_add(*ran);
        }
        spent
    }
}

/// What was charged to one process.
#[derive(Clone, Copy)]
struct Account {
    /// What the kernel side said last.
    seen: Costs,
    sum: Costs,
}

impl Account {
    const NEW: Account = Account {
        seen: Costs::NOTHING,
        sum: Costs::NOTHING,
    };

    fn take(&mut self, now: &Costs) {
        let grown = now.hits.iter().zip(&self.seen.hits).all(|(n, b)| n >= b)
            && now.ran.iter().zip(&self.seen.ran).all(|(n, b)| n >= b);
        if !grown {
            // The kernel had forgotten it.
            self.seen = Costs::NOTHING;
        }
        let hits = now.hits.iter().zip(&self.seen.hits).zip(&mut self.sum.hits);
        let ran = now.ran.iter().zip(&self.seen.ran).zip(&mut self.sum.ran);
        for ((now, before), sum) in hits.chain(ran) {
            *sum = sum.saturating_add(now.saturating_sub(*before));
        }
        let bytes = now.bytes.saturating_sub(self.seen.bytes);
        self.sum.bytes = self.sum.bytes.saturating_add(bytes);
        self.seen = *now;
    }
}

pub struct Ledger {
    costs: CostTable,
    pub prices: Prices,
    accounts: HashMap<Pid, Account>,
}

impl Ledger {
    pub fn new(costs: CostTable, prices: Prices) -> Ledger {
        Ledger {
            costs,
            prices,
            accounts: HashMap::new(),
        }
    }

    /// What a process was charged until now. One system call.
    pub fn spent(&mut self, pid: Pid) -> Spent {
        if let Some(now) = self.costs.of(pid) {
            self.accounts.entry(pid).or_insert(Account::NEW).take(&now);
        }
        self.account(pid)
    }

    fn account(&self, pid: Pid) -> Spent {
        self.accounts
            .get(&pid)
            .map_or_else(Spent::default, |account| {
                Spent::new(&account.sum, &self.prices)
            })
    }

    /// Everyone who was ever charged and not closed.
    pub fn all(&mut self) -> Vec<(Pid, Spent)> {
        for pid in self.costs.pids() {
            self.spent(pid);
        }
        self.accounts
            .keys()
            .map(|pid| (*pid, self.account(*pid)))
            .collect()
    }

    /// The process ended: its last account. Its pid may be another's soon.
    pub fn close(&mut self, pid: Pid) -> Spent {
        let spent = self.spent(pid);
        if self.accounts.remove(&pid).is_some() {
            self.costs.remove(pid);
        }
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obi_abi::cost::class;

    fn costs(cells: &[(Group, u8, u64)], ran: [u64; 4]) -> Costs {
        let mut costs = Costs {
            ran,
            ..Costs::NOTHING
        };
        for (group, class, hits) in cells {
            costs.hits[usize::from(group.number() << CLASS_BITS | class)] = *hits;
        }
        costs
    }

    #[test]
    fn hits_cost_what_their_sites_cost_and_programs_their_time() {
        let prices = Prices {
            ns: [1, 10, 100, 1000, 2, 20, 200, 2000],
            measured: true,
        };
        let costs = costs(
            &[
                (Group::Tls, class::STEPPED, 3),
                (Group::Tls, class::EMULATED, 4),
                (Group::Batches, class::RETURN | class::EMULATED, 5),
                (Group::EachMessage, class::SHARED, 6),
                (Group::EachMessage, class::NOP5, 7),
            ],
            [11, 22, 33, 44],
        );
        let spent = Spent::new(&costs, &prices);
        assert_eq!(spent.hits, [7, 5, 13]);
        assert_eq!(spent.of(Group::Tls), 3 * 1000 + 4 * 100 + 11);
        assert_eq!(spent.of(Group::Batches), 5 * 200 + 22);
        assert_eq!(spent.of(Group::EachMessage), 6 + 7 * 10 + 33);
        assert_eq!(spent.total(), 3411 + 1022 + 109);
    }

    #[test]
    fn an_account_goes_on_when_the_kernel_forgot_the_process() {
        let mut account = Account::NEW;
        let group = Group::Batches;
        account.take(&costs(&[(group, class::NOP5, 100)], [0, 500, 0, 0]));
        account.take(&costs(&[(group, class::NOP5, 130)], [0, 650, 0, 0]));
        account.take(&costs(&[(group, class::NOP5, 4)], [0, 20, 0, 0]));
        account.take(&costs(&[(group, class::NOP5, 4)], [0, 20, 0, 0]));
        assert_eq!(
            account.sum,
            costs(&[(group, class::NOP5, 134)], [0, 670, 0, 0])
        );
    }
}
