//! Who a process is. In: `/proc/PID`; out: `ProcessInfo` (service name, resource attributes, container).
//!
//! A process that vanishes while it is being read is `None`, never an error. Reads are bounded, so that a process with a huge
//! environment costs no more than any other. Kubernetes is not asked here.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kafka_analyzer::capture::{Pid, ProcessInfo};

mod script;

/// Of `environ` and `cmdline` at most this many bytes are read; the kernel's own limit for one string is 128 KiB.
const READ_LIMIT: u64 = 1024 * 1024;
/// How often, and how far apart, a process is looked at that is still being exec'ed; that takes well below a millisecond.
const EXEC_LOOKS: u32 = 5;
const EXEC_PAUSE: Duration = Duration::from_millis(1);
/// Resource attributes kept of one process.
const ATTRIBUTES: usize = 64;

/// Reads what `proc_root` (`/proc`) says of a process. `None`: it is gone, or a kernel thread.
pub fn process_info(proc_root: &Path, pid: Pid) -> Option<ProcessInfo> {
    let dir = proc_root.join(pid.to_string());
    let exe = std::fs::read_link(dir.join("exe")).ok()?;
    let exe = exe.to_string_lossy();
    // A replaced binary is shown by the kernel as "/path (deleted)"; the name is still the right one.
    let exe = exe.strip_suffix(" (deleted)").unwrap_or(&exe).to_owned();
    let (environ, cmdline) = arguments(&dir);
    let value = |name: &str| {
        environ
            .iter()
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .filter(|v| !v.is_empty())
    };

    let mut attributes = value("OTEL_RESOURCE_ATTRIBUTES")
        .map(resource_attributes)
        .unwrap_or_default();
    let named = attributes
        .iter()
        .position(|(key, _)| key == "service.name")
        .map(|at| attributes.remove(at).1);
    let service = value("OTEL_SERVICE_NAME")
        .map(str::to_owned)
        .or(named.filter(|name| !name.is_empty()))
        .or_else(|| script::name(&exe, &cmdline))
        .unwrap_or_else(|| file_name(&exe).to_owned());

    let cgroup = std::fs::read_to_string(dir.join("cgroup")).unwrap_or_default();
    Some(ProcessInfo {
        pid,
        exe,
        service: Arc::from(service),
        attributes,
        container_id: container_id(&cgroup),
        goroutines: is_go(&dir.join("exe")),
    })
}

/// Go's linker always writes these; headers are all that is read for it.
fn is_go(exe: &Path) -> bool {
    const OF_GO: [&str; 2] = [".go.buildinfo", ".gopclntab"];
    symbolizer::Binary::open(exe).is_ok_and(|binary| {
        let mut sections = binary.sections().iter();
        sections.any(|section| OF_GO.contains(&section.name.as_str()))
    })
}

/// Environment and command line. The kernel maps an executable before it says where these are: a process that is seen that early is
/// read again.
fn arguments(dir: &Path) -> (Vec<String>, Vec<String>) {
    let read = |name: &str| strings(&dir.join(name)).unwrap_or_default();
    let mut cmdline = read("cmdline");
    for _ in 0..EXEC_LOOKS {
        if cmdline.iter().any(|argument| !argument.is_empty()) {
            break;
        }
        std::thread::sleep(EXEC_PAUSE);
        cmdline = read("cmdline");
    }
    (read("environ"), cmdline)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// NUL-separated strings of a file of `/proc/PID`.
fn strings(path: &Path) -> Option<Vec<String>> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(READ_LIMIT)
        .read_to_end(&mut bytes)
        .ok()?;
    let text = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    Some(
        text.split(|b| *b == 0)
            .map(|s| String::from_utf8_lossy(s).into_owned())
            .collect(),
    )
}

/// `key=value,key=value` with percent-encoded values, as the OpenTelemetry SDK specification defines it: one malformed pair
/// makes the whole variable void. A key given twice keeps its last value.
fn resource_attributes(text: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for item in text.split(',').filter(|item| !item.trim().is_empty()) {
        let Some((key, value)) = item.split_once('=') else {
            return Vec::new();
        };
        let (Some(key), Some(value)) = (percent_decode(key.trim()), percent_decode(value.trim()))
        else {
            return Vec::new();
        };
        pairs.retain(|(known, _)| *known != key);
        if !key.is_empty() && pairs.len() < ATTRIBUTES {
            pairs.push((key, value));
        }
    }
    pairs
}

/// `None` for a `%` without two hex digits, or for bytes that are not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}

/// The 64 hex digits that Docker, containerd, CRI-O and podman put into the last matching component of a cgroup path.
fn container_id(cgroup: &str) -> Option<String> {
    let components = cgroup.lines().flat_map(|line| line.rsplit('/'));
    components.filter_map(hex_id).next()
}

fn hex_id(component: &str) -> Option<String> {
    let stem = component
        .trim()
        .strip_suffix(".scope")
        .unwrap_or(component.trim());
    let id = stem.rsplit(['-', ':']).next().unwrap_or(stem);
    let is_id = id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    struct Sleep(Child);
    impl Drop for Sleep {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn info(env: &[(&str, &str)]) -> ProcessInfo {
        let child = Sleep(
            Command::new("sleep")
                .arg("60")
                .env_clear()
                .envs(env.iter().copied())
                .spawn()
                .unwrap(),
        );
        // The child shows the parent's memory until its exec; `exe` tells which.
        loop {
            let info = process_info(Path::new("/proc"), child.0.id()).unwrap();
            if info.exe.ends_with("sleep")
                && std::fs::read(format!("/proc/{}/cmdline", child.0.id()))
                    .unwrap()
                    .starts_with(b"sleep")
            {
                return process_info(Path::new("/proc"), child.0.id()).unwrap();
            }
        }
    }

    #[test]
    fn service_comes_from_the_environment_then_the_executable() {
        assert_eq!(&*info(&[]).service, "sleep");
        assert_eq!(&*info(&[("OTEL_SERVICE_NAME", "orders")]).service, "orders");
        let both = info(&[
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a%20b,k=v"),
            ("OTEL_SERVICE_NAME", ""),
        ]);
        assert_eq!(&*both.service, "a b");
        assert_eq!(both.attributes, [("k".to_owned(), "v".to_owned())]);
        let named = info(&[
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x"),
            ("OTEL_SERVICE_NAME", "orders"),
        ]);
        assert_eq!((&*named.service, named.attributes.len()), ("orders", 0));
    }

    #[test]
    fn a_process_that_is_gone_is_absent() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(process_info(Path::new("/proc"), child.id()), None);
        assert_eq!(
            process_info(Path::new("/proc"), 2).map(|p| p.exe),
            None,
            "a kernel thread has no executable"
        );
    }

    #[test]
    fn resource_attributes_follow_the_sdk_specification() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(
            resource_attributes("a=1, b = x%2Cy ,"),
            [pair("a", "1"), pair("b", "x,y")]
        );
        assert_eq!(resource_attributes("a=1,a=2"), [pair("a", "2")]);
        for void in ["a", "a=1,b", "a=%zz", "a=%f", "a=%ff"] {
            assert_eq!(resource_attributes(void), [], "{void}");
        }
    }

    #[test]
    fn container_ids_of_the_known_runtimes() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("12:cpu:/docker/{id}\n"),
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope\n"),
            format!("0::/kubepods/burstable/pod7/{id}\n"),
            format!(
                "0::/system.slice/containerd.service/kubepods-burstable-pod7.slice:cri-containerd:{id}\n"
            ),
            format!("0::/machine.slice/libpod-{id}.scope/container\n"),
        ] {
            assert_eq!(container_id(&path).as_deref(), Some(&*id), "{path}");
        }
        assert_eq!(container_id("0::/user.slice/session-2.scope\n"), None);
    }
}
