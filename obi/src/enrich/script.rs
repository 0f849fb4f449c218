//! The name of the program that an interpreter runs. In: the executable and its arguments; out: the script's file name without its
//! ending, a module's name (`python -m`), or a main class; `None` when the executable itself is the program.

/// Options that take the following argument, by interpreter family.
const PYTHON_VALUES: &[&str] = &["-W", "-X", "--check-hash-based-pycs"];
const NODE_VALUES: &[&str] = &[
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-C",
    "--conditions",
];
const JAVA_VALUES: &[&str] = &[
    "-cp",
    "-classpath",
    "--class-path",
    "-p",
    "--module-path",
    "--add-modules",
    "--add-opens",
    "--add-exports",
    "--add-reads",
];
const RUBY_VALUES: &[&str] = &["-I", "-r", "-C", "-E"];

pub fn name(exe: &str, cmdline: &[String]) -> Option<String> {
    let program = exe.rsplit('/').next().unwrap_or(exe);
    let family = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let arguments = cmdline.get(1..).unwrap_or_default();
    match family {
        "python" | "pypy" => python(arguments),
        "node" | "nodejs" | "bun" | "deno" => {
            first(arguments, NODE_VALUES).map(|path| stem(path).to_owned())
        }
        "ruby" => first(arguments, RUBY_VALUES).map(|path| stem(path).to_owned()),
        "perl" | "php" => first(arguments, &[]).map(|path| stem(path).to_owned()),
        "java" => java(arguments),
        _ => None,
    }
}

fn python(arguments: &[String]) -> Option<String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-m" => return rest.next().cloned(),
            "-c" | "-" => return None,
            value if PYTHON_VALUES.contains(&value) => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            path => return Some(stem(path).to_owned()),
        }
    }
    None
}

fn java(arguments: &[String]) -> Option<String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-jar" => return rest.next().map(|path| stem(path).to_owned()),
            "-m" | "--module" => {
                return rest
                    .next()
                    .map(|m| m.rsplit('/').next().unwrap_or(m).to_owned());
            }
            value if JAVA_VALUES.contains(&value) => {
                rest.next();
            }
            option if option.starts_with(['-', '@']) => {}
            class if class.ends_with(".java") => return Some(stem(class).to_owned()),
            class => return class.rsplit('.').next().map(str::to_owned),
        }
    }
    None
}

/// First argument that is neither an option nor an option's value. `-c`/`-e` programs have no name.
fn first<'a>(arguments: &'a [String], with_value: &[&str]) -> Option<&'a str> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-c" | "-e" | "--eval" | "-p" | "--print" | "-" => return None,
            value if with_value.contains(&value) => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            path => return Some(path),
        }
    }
    None
}

fn stem(path: &str) -> &str {
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    fn check(exe: &str, cmdline: &str, expected: Option<&str>) {
        let arguments: Vec<String> = cmdline.split(' ').map(str::to_owned).collect();
        assert_eq!(
            super::name(exe, &arguments).as_deref(),
            expected,
            "{cmdline}"
        );
    }

    #[test]
    fn interpreters_are_named_by_what_they_run() {
        check(
            "/usr/bin/python3.11",
            "python3 -u /app/event_handlers.py --x",
            Some("event_handlers"),
        );
        check(
            "/usr/bin/python3.11",
            "python3 -X dev -m app.consumer -v",
            Some("app.consumer"),
        );
        check("/usr/bin/python3.11", "python3 -c pass", None);
        check("/usr/bin/python3.11", "python3 run.py -m x", Some("run"));
        check(
            "/usr/bin/node",
            "node --require ./trace.js dist/worker.mjs",
            Some("worker"),
        );
        check("/usr/bin/node", "node -e 1", None);
        check(
            "/usr/lib/jvm/17/bin/java",
            "java -Xmx1g -cp a:b com.acme.Orders x",
            Some("Orders"),
        );
        check(
            "/usr/lib/jvm/17/bin/java",
            "java -jar /opt/orders-1.2.jar",
            Some("orders-1.2"),
        );
        check(
            "/usr/lib/jvm/17/bin/java",
            "java --module-path m -m acme/com.acme.Main",
            Some("com.acme.Main"),
        );
        check(
            "/usr/bin/ruby3.1",
            "ruby -I lib consumer.rb",
            Some("consumer"),
        );
        check("/usr/bin/kcat", "kcat -C", None);
    }
}
