//! The child's side as a program of its own, for the tests of `engine::process`.

fn main() -> std::process::ExitCode {
    engine::process::child_main()
}
