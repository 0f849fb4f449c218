//! `obi`: the agent and its command line in one binary.

fn main() -> std::process::ExitCode {
    obi::cli::main()
}
