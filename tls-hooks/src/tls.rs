//! TLS libraries: one file and one table line each.

mod go_crypto_tls;
mod openssl;

use crate::HookPlan;
use crate::facts::Facts;

/// Each adds its hooks and refusals to the plan; a program may hold several libraries (cgo).
pub(crate) const TABLE: &[fn(&Facts<'_>, &mut HookPlan)] = &[go_crypto_tls::plan, openssl::plan];
