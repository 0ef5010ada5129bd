use std::thread;
fn main() {
    let all: Vec<_> = (0..4).map(|i| thread::spawn(move || (0..1000u64).map(|x| x * i).sum::<u64>())).collect();
    for one in all {
        println!("{}", one.join().unwrap());
    }
    std::panic::set_hook(Box::new(|_| ()));
    println!("{}", std::panic::catch_unwind(|| panic!("expected")).is_err());
    std::process::exit(4)
}
