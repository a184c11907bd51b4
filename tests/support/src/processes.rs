//! Processes of this machine.

/// The numbers of processes that have this variable, `NAME=VALUE`, in their environment. One that has ended has none.
pub fn processes_with(variable: &str) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let has = |number: &i32| {
        let environment = std::fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|found| found == variable.as_bytes())
    };
    numbers.filter(has).collect()
}
