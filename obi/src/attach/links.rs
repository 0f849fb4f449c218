//! Sites of one file onto one program. In: sites with their cookies, all processes that map the file or one; out: links, whose drop takes the
//! probes away. The kernel tests attach by this file too (`tests/kernels`).

use std::path::Path;

use libbpf_rs::{Link, ProgramMut, UprobeMultiOpts, UprobeOpts};

/// How the kernel takes many sites of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// One link for all sites (Linux 6.6).
    Multi,
    /// A perf event for each site.
    Perf,
}

/// Probe sites of one kind with their cookies.
#[derive(Default)]
pub struct Sites {
    pub offsets: Vec<usize>,
    pub cookies: Vec<u64>,
}

impl Sites {
    pub fn push(&mut self, offset: u64, cookie: u64) {
        if let Ok(offset) = usize::try_from(offset) {
            self.offsets.push(offset);
            self.cookies.push(cookie);
        }
    }
}

/// All of the sites, or an error and none.
pub fn attach(
    program: &ProgramMut<'_>,
    kind: ProbeKind,
    (path, pid): (&Path, Option<u32>),
    sites: &Sites,
    retprobe: bool,
) -> libbpf_rs::Result<Vec<Link>> {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(-1);
    match kind {
        ProbeKind::Multi => {
            let opts = UprobeMultiOpts {
                offsets: sites.offsets.clone(),
                cookies: sites.cookies.clone(),
                retprobe,
                ..Default::default()
            };
            Ok(vec![
                program.attach_uprobe_multi_with_opts(pid, path, "", opts)?,
            ])
        }
        ProbeKind::Perf => sites
            .offsets
            .iter()
            .zip(&sites.cookies)
            .map(|(offset, cookie)| {
                let opts = UprobeOpts {
                    cookie: *cookie,
                    retprobe,
                    ..Default::default()
                };
                program.attach_uprobe_with_opts(pid, path, *offset, opts)
            })
            .collect(),
    }
}
