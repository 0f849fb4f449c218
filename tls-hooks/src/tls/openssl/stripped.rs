//! OpenSSL 3 and later linked into a file without symbols.
//!
//! Its error macros leave `__func__` in read-only data: "ssl_read_internal" is loaded by that function alone. From the
//! string to the `lea` to the function's start (unwind table) to its callers, which must be few and make plain calls.
//! Anything less than one candidate each, confirmed by its callers, is refused.

use obi_abi::role;
use symbolizer::code::Register;
use symbolizer::{Binary, Function};

use super::{BINDINGS, LIBRARY, binding, inner};
use crate::facts::Facts;
use crate::{Hook, HookPlan, Refusal};

/// SSL_read, SSL_read_ex; SSL_write, SSL_write_ex, SSL_write_ex2.
const CALLERS_LIMIT: usize = 3;
const READ: &str = "ssl_read_internal";
const WRITE: &str = "ssl_write_internal";

pub(super) fn plan(facts: &Facts<'_>, plan: &mut HookPlan) {
    let binary = facts.binary;
    // A file that loads libssl holds no second copy.
    if facts
        .needed
        .iter()
        .any(|name| name.starts_with("libssl.so"))
        || !facts.names_ssl_read()
    {
        return;
    }
    let version = version_text(binary).unwrap_or_default();
    let candidates = Candidates::find(binary);
    let mut hooks = Vec::new();
    for (name, role) in [(READ, role::READ), (WRITE, role::WRITE)] {
        match call_hooks(binary, &candidates, name, role) {
            Ok(found) => hooks.extend(found),
            Err(reason) => {
                return plan.refused.push(Refusal {
                    hook: "openssl",
                    reason: format!("OpenSSL {version} is inside, without symbols: {reason}"),
                    mend: "keep the symbols of the program (do not strip it), or link OpenSSL dynamically".into(),
                });
            }
        }
    }
    // SSL_free raises no error and so has no name: a handle that is used again shows by SSL_set_fd or SSL_clear.
    for (name, role) in BINDINGS {
        if let Ok(function) = candidates.one(name) {
            hooks.extend(binding(binary, name, role, &function));
        }
    }
    plan.tls.get_or_insert((LIBRARY, version));
    plan.hooks.extend(hooks);
}

/// Functions that load the text of a name: (name, function), or the name alone when the function has no unwind entry.
struct Candidates(Vec<(&'static str, Option<(u64, u64)>)>);

impl Candidates {
    fn find(binary: &Binary) -> Candidates {
        let names: Vec<&'static str> = [READ, WRITE]
            .into_iter()
            .chain(BINDINGS.iter().map(|(name, _)| *name))
            .collect();
        let needles: Vec<Vec<u8>> = names
            .iter()
            .map(|name| [name.as_bytes(), &[0]].concat())
            .collect();
        let needles: Vec<&[u8]> = needles.iter().map(Vec::as_slice).collect();
        // A text may also be the tail of a longer one: then nothing loads its address.
        let places = binary.find_in_rodata(&needles, 8);
        let texts: Vec<(&'static str, u64)> = names
            .iter()
            .zip(places)
            .flat_map(|(name, places)| places.into_iter().map(move |at| (*name, at)))
            .collect();
        let addresses: Vec<u64> = texts.iter().map(|(_, at)| *at).collect();
        let mut found = Vec::new();
        for (site, target) in binary.find_address_loads(&addresses, 1024) {
            let function = binary.function_at(site);
            for (name, _) in texts.iter().filter(|(_, at)| *at == target) {
                if !found.contains(&(*name, function)) {
                    found.push((*name, function));
                }
            }
        }
        Candidates(found)
    }

    /// The one function that loads the text of its own name.
    fn one(&self, name: &'static str) -> Result<Function, String> {
        let mut of_name = self.0.iter().filter(|(of, _)| *of == name);
        match (of_name.next(), of_name.next()) {
            (Some((_, Some((address, size)))), None) => Ok(Function {
                name: name.to_owned(),
                address: *address,
                size: *size,
                variant: None,
            }),
            (Some((_, None)), None) => {
                Err(format!("the code that names {name} has no unwind entry"))
            }
            (None, _) => Err(format!(
                "no function names itself {name} (OpenSSL before 3.0)"
            )),
            (Some(_), Some(_)) => Err(format!("more than one function names itself {name}")),
        }
    }
}

/// The version in OPENSSL_VERSION_TEXT ("OpenSSL 3.5.8 25 Aug 2026"), when exactly one such text is there.
pub(super) fn version_text(binary: &Binary) -> Option<String> {
    let mut versions: Vec<String> = Vec::new();
    for address in binary.find_in_rodata(&[b"OpenSSL "], 1024).concat() {
        let bytes = binary
            .read(address.saturating_add(8), 48)
            .unwrap_or_default();
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        if let Some(version) = std::str::from_utf8(text).ok().and_then(dated_version)
            && !versions.iter().any(|known| known == version)
        {
            versions.push(version.to_owned());
        }
    }
    match versions.as_slice() {
        [version] => Some(version.clone()),
        _ => None,
    }
}

/// `3.5.8` of `3.5.8 25 Aug 2026`: other texts name versions too, but none with a date.
fn dated_version(text: &str) -> Option<&str> {
    let mut words = text.split_ascii_whitespace();
    let (version, day, month, year) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let dated = digits(day) && month.len() == 3 && digits(year);
    (dated && version.starts_with(|c: char| c.is_ascii_digit())).then_some(version)
}

fn call_hooks(
    binary: &Binary,
    candidates: &Candidates,
    name: &'static str,
    role: u8,
) -> Result<Vec<Hook>, String> {
    let function = candidates.one(name)?;
    let calls = binary.find_calls(function.address, CALLERS_LIMIT + 1);
    if calls.is_empty() || calls.len() > CALLERS_LIMIT {
        return Err(format!(
            "{name} has {} callers instead of one to {CALLERS_LIMIT}",
            calls.len()
        ));
    }
    let mut callers = Vec::new();
    for call in calls {
        let (address, size) = binary
            .function_at(call)
            .ok_or_else(|| format!("a caller of {name} has no unwind entry"))?;
        let caller = Function {
            name: name.to_owned(),
            address,
            size,
            variant: None,
        };
        let body = binary.body(&caller).filter(|body| body.whole);
        if !body.is_some_and(|body| body.calls.contains(&(call, function.address))) {
            return Err(format!(
                "a caller of {name} does not decode to a plain call"
            ));
        }
        callers.push((caller, call));
    }
    let candidates: &[Register] = if role == role::READ {
        &[Register::Rcx]
    } else {
        &[Register::Rcx, Register::R8]
    };
    // The plain form, SSL_read or SSL_write, passes the address of a local variable for the count.
    let count = callers
        .iter()
        .find_map(|(caller, call)| binary.stack_argument(caller, *call, candidates));
    let count = count
        .ok_or_else(|| format!("no caller of {name} passes a local variable for the count"))?;
    let hooks = callers
        .iter()
        .map(|(caller, call)| inner::on_call(binary, name, role, caller, *call, count));
    hooks
        .collect::<Option<_>>()
        .ok_or_else(|| format!("no probe site behind a call of {name}"))
}

#[cfg(test)]
mod tests {
    use super::dated_version;

    #[test]
    fn only_a_dated_text_is_a_version() {
        assert_eq!(dated_version("3.5.8 25 Aug 2026"), Some("3.5.8"));
        assert_eq!(dated_version("1.1.1w  11 Sep 2023"), Some("1.1.1w"));
        assert_eq!(dated_version("3.0.x implementation providers. E.g."), None);
        assert_eq!(dated_version(">= 1.0.2 required."), None);
    }
}
