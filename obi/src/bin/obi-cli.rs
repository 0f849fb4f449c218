//! `obi-cli`: the same program under the name that users type to ask a running agent.

fn main() -> std::process::ExitCode {
    obi::cli::main()
}
