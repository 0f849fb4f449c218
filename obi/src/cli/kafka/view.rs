//! What all questions to the running agent share: where to ask, in which form to answer, once or again and again.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::screen;
use crate::cli::exit::{self, Exit, Failure};
use crate::cli::{AgentSocket, Output};
use crate::export::filter::Names;
use crate::serve::control;

#[derive(Debug, clap::Args)]
pub struct View {
    #[command(flatten)]
    pub agent: AgentSocket,
    /// Form of the answer; with --watch, json is one line each time
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
    /// Ask again every so many seconds, until interrupted
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    pub watch: Option<u64>,
}

impl View {
    /// `pick` leaves out what is not asked for; `human` makes tables of the rest.
    pub fn show<T: Serialize + DeserializeOwned>(
        &self,
        command: &str,
        pick: impl Fn(&mut T),
        human: impl Fn(&T) -> anyhow::Result<String>,
    ) -> anyhow::Result<Exit> {
        let ask = || {
            let mut answer = self.ask(command)?;
            pick(&mut answer);
            anyhow::Ok(answer)
        };
        let Some(seconds) = self.watch else {
            let answer = ask()?;
            return exit::print(&match self.output {
                Output::Human => human(&answer)?,
                Output::Json => format!("{}\n", serde_json::to_string_pretty(&answer)?),
            });
        };
        let mut clear = screen::CLEAR;
        loop {
            let answer = ask()?;
            let text = match self.output {
                Output::Human => human(&answer)?,
                Output::Json => format!("{}\n", serde_json::to_string(&answer)?),
            };
            // Asked each time: the window may have changed.
            let size = screen::size().filter(|_| matches!(self.output, Output::Human));
            let drawn = size.map(|size| format!("{clear}{}", screen::frame(&text, size)));
            clear = "";
            if !exit::print_on(drawn.as_deref().unwrap_or(&text))? {
                return Ok(Exit::Fine);
            }
            std::thread::sleep(Duration::from_secs(seconds.max(1)));
        }
    }

    pub fn ask<T: DeserializeOwned>(&self, command: &str) -> anyhow::Result<T> {
        let value = control::ask(&self.agent.socket, command)?;
        serde_json::from_value(value).context("the agent is of another version")
    }
}

/// Exact names or globs that were asked for. None: all.
pub fn names(patterns: &[String]) -> anyhow::Result<Names> {
    Names::new(patterns).map_err(|error| {
        let failure = Failure::new(Exit::Usage, error.to_string());
        let hint = "`*` stands for any text, `?` for one character, `{a,b}` for one of several";
        failure.hint(hint).into()
    })
}
