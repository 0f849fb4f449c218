//! A real Prometheus. In: a configuration. Out: answers to queries.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use obi_lab::prerequisites::unpacked;
use obi_lab::process::{Launch, Process};
use obi_lab::{ports, step};

use crate::world::World;

pub struct Prometheus {
    process: Process,
    port: u16,
}

impl Prometheus {
    /// Its files are in the folder `name` of the run.
    pub fn start(world: &World, name: &str, config: &str) -> Result<Self> {
        let folder = world.layout.run().join(name);
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config)?;
        let port = ports::free()?;
        let program = unpacked(&world.layout, "prometheus", "prometheus")?;
        let process = Launch::new("prometheus", program, folder.join("log"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .start()?;
        Ok(Self { process, port })
    }

    /// The one value of a query now; None: it has none yet, or does not answer yet.
    pub fn value(&mut self, query: &str) -> Result<Option<f64>> {
        self.process.check()?;
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let Ok(mut answer) = ureq::get(&url).query("query", query).call() else {
            return Ok(None);
        };
        let answer: serde_json::Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        let series = answer.pointer("/data/result");
        let series = series.and_then(serde_json::Value::as_array);
        if series.is_some_and(|series| series.len() > 1) {
            bail!("{query} has more than one value: {answer}");
        }
        let value = answer.pointer("/data/result/0/value/1");
        let text = value.and_then(serde_json::Value::as_str);
        text.map(|text| text.parse().context("a value of Prometheus"))
            .transpose()
    }

    /// Waits until a query has a value that is `wanted`, and gives it.
    pub fn wait(
        &mut self,
        query: &str,
        limit: Duration,
        wanted: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        let mut last = None;
        step::wait(query, limit, Duration::from_millis(200), || {
            last = self.value(query)?;
            Ok(last.filter(|value| wanted(*value)))
        })
        .with_context(|| format!("the last value was {last:?}"))
    }

    pub fn stop(mut self) -> Result<()> {
        self.process.stop(Duration::from_secs(20))?;
        Ok(())
    }
}
