//! A PostgreSQL server of Debian's package, in the clear and over TLS on one port of 127.0.0.1. In: the certificates of the cluster. Out: how
//! clients reach it, and answers to questions. Its data lie in the system's temporary folder, because initdb and the server refuse to
//! run as root and `nobody` may not enter everyone's checkout; they go with the handle. No service of the system is started or touched.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::kafka::Certificates;
use crate::layout::Layout;
use crate::process::{Launch, Process, Signal, is_root};
use crate::{apt, ports, prerequisites, step};

/// `nobody` and `nogroup` of Debian: who runs the server when we are root.
const NOBODY: u32 = 65_534;
const NAME: &str = "orders";
const PASSWORD: &str = "orders-secret";
/// Nothing outlives a run, so nothing need reach the disk; a compiler for long queries (`jit`) would be another library to fetch.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'
unix_socket_directories = ''
ssl = on
ssl_cert_file = 'server.pem'
ssl_key_file = 'server.pem'
fsync = off
jit = off
shared_buffers = 32MB
max_connections = 50
";

#[derive(Debug)]
pub struct Postgres {
    pub port: u16,
    authority: PathBuf,
    programs: PathBuf,
    process: Process,
    _folder: Folder,
}

impl Postgres {
    /// A server with one user, who owns the database of the same name.
    pub fn start(layout: &Layout, certificates: &Certificates) -> Result<Self> {
        let programs = programs(layout)?;
        let folder = Folder::make()?;
        let data = folder.0.join("data");
        let log = layout.run().join("postgresql.log");
        let secret = folder.write("password", PASSWORD.as_bytes())?;
        let mut init = as_nobody(&programs.join("initdb"));
        init.current_dir(&folder.0)
            .args(["--no-sync", "--no-locale", "--encoding=UTF8"])
            .args(["--auth=scram-sha-256", "--username", NAME])
            .args([Path::new("--pwfile"), &secret, Path::new("--pgdata"), &data]);
        step::run("initdb: an empty PostgreSQL", &mut init)?;
        let port = ports::free()?;
        folder.write("data/server.pem", &fs::read(&certificates.broker)?)?;
        folder.write(
            "data/postgresql.conf",
            format!("{SETTINGS}port = {port}\n").as_bytes(),
        )?;
        let server = as_nobody(&programs.join("postgres"));
        let process = Launch::new("PostgreSQL", server.get_program(), log)
            .args(server.get_args())
            .arg("-D")
            .arg(&data)
            .start()?;
        let mut postgres = Self {
            port,
            authority: certificates.authority.clone(),
            programs,
            process,
            _folder: folder,
        };
        postgres.wait(&data)?;
        postgres.ask_in("postgres", &format!("CREATE DATABASE {NAME}"))?;
        step::say(&format!("PostgreSQL: 127.0.0.1:{port}"));
        Ok(postgres)
    }

    /// As drivers of any language take it.
    pub fn url(&self, tls: bool) -> String {
        let (port, authority) = (self.port, self.authority.display());
        let tail = if tls {
            format!("sslmode=verify-full&sslrootcert={authority}")
        } else {
            "sslmode=disable".to_owned()
        };
        format!("postgres://{NAME}:{PASSWORD}@127.0.0.1:{port}/{NAME}?{tail}")
    }

    /// Its interactive client, itself one of libpq's.
    pub fn psql(&self) -> PathBuf {
        self.programs.join("psql")
    }

    /// The rows that a statement gives, a line each, columns parted by `|`.
    pub fn ask(&self, statement: &str) -> Result<Vec<String>> {
        self.ask_in(NAME, statement)
    }

    fn ask_in(&self, database: &str, statement: &str) -> Result<Vec<String>> {
        let output = Command::new(self.psql())
            .env("PGPASSWORD", PASSWORD)
            .args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet"])
            .args(["--host=127.0.0.1", "--port", &self.port.to_string()])
            .args(["--username", NAME, "--dbname", database])
            .args(["--command", statement])
            .output()
            .context("cannot run psql")?;
        ensure!(
            output.status.success(),
            "psql: {statement}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// The server writes `ready` into its pid file when it takes connections.
    fn wait(&mut self, data: &Path) -> Result<()> {
        let file = data.join("postmaster.pid");
        step::wait(
            "PostgreSQL",
            Duration::from_secs(30),
            Duration::from_millis(20),
            || {
                self.process.check()?;
                let text = fs::read_to_string(&file).unwrap_or_default();
                Ok(text
                    .lines()
                    .any(|line| line.trim() == "ready")
                    .then_some(()))
            },
        )
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Fails with the end of its log when it is gone.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    /// SIGINT cuts clients off; at SIGTERM the server would wait for them.
    fn end(&mut self) -> Result<()> {
        self.process.signal(Signal::INT)?;
        self.process.wait(Duration::from_secs(10))?;
        self.process.stop(Duration::from_secs(1)).map(|_| ())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("warning: {error:#}");
        }
    }
}

/// The server's own folder, which it alone may enter.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let path = std::env::temp_dir().join(format!(
            "obi-postgres-{}-{}",
            std::process::id(),
            ports::free()?
        ));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let folder = Self(path);
        folder.own(&folder.0, 0o700)?;
        Ok(folder)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        self.own(&path, 0o600)?;
        Ok(path)
    }

    fn own(&self, path: &Path, mode: u32) -> Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        if is_root() {
            chown(path, Some(NOBODY), Some(NOBODY))?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: cannot remove {}: {error}", self.0.display());
        }
    }
}

/// The change of user clears the signal that ends a child with its parent: it is asked for anew.
fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// The folder of the server's and the client's programs, of the release that this Debian has.
fn programs(layout: &Layout) -> Result<PathBuf> {
    let version = apt::candidate("postgresql")?;
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    let (server, client) = (
        format!("postgresql-{major}"),
        format!("postgresql-client-{major}"),
    );
    let programs = format!("usr/lib/postgresql/{major}/bin");
    let system = Path::new("/").join(&programs);
    if system.join("postgres").exists() && system.join("psql").exists() {
        return Ok(system);
    }
    let folder = prerequisites::unpacked_folder(layout, &[&server, &client], |folder| {
        folder.join(&programs).join("psql").exists()
            && folder.join(&programs).join("postgres").exists()
    })?;
    Ok(folder.join(programs))
}
