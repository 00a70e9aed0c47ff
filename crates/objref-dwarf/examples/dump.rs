//! Lists what the crate reads out of an executable: `dump EXE [types|globals|functions|at PC|captures NAME]`.

use std::error::Error;
use std::time::Instant;

use objref_dwarf::{DebugInfo, LinkAddr, TypeIdx};
use objref_mem::Input;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which executable?")?;
    let what = args.next().unwrap_or_default();
    let argument = args.next();
    let file = Input::open(path.as_ref())?;
    let start = Instant::now();
    let info = DebugInfo::load(&file)?;
    let loaded = start.elapsed();
    match (what.as_str(), argument) {
        ("types", only) => types(&info, only.as_deref()),
        ("globals", _) => {
            for variable in info.globals() {
                let ty = info.types().name(variable.ty);
                println!("{} {} {ty}", variable.addr, variable.name);
            }
        }
        ("functions", _) => {
            for function in info.functions() {
                let range = info.function_range(function);
                let name = info.function_name(function);
                println!("{}..{} {name}", range.start, range.end);
            }
        }
        ("at", Some(pc)) => {
            let pc = u64::from_str_radix(pc.trim_start_matches("0x"), 16)?;
            locals(&info, LinkAddr(pc));
        }
        ("captures", Some(name)) => {
            let function = info.function_named(&name).ok_or("no such function")?;
            println!("{:?}", info.function_range(function));
            for capture in info.captures(function) {
                let ty = info.types().name(capture.ty);
                println!("{:4} {} {ty}", capture.offset, capture.name);
            }
        }
        _ => summary(&info, loaded),
    }
    Ok(())
}

fn summary(info: &DebugInfo, loaded: std::time::Duration) {
    println!("DWARF {}, loaded in {loaded:?}", info.version());
    println!(
        "{} types, {} globals",
        info.types().len(),
        info.globals().len()
    );
    let start = Instant::now();
    let functions: Vec<_> = info.functions().collect();
    println!("{} functions in {:?}", functions.len(), start.elapsed());
    let start = Instant::now();
    let (mut locals, mut pieces, mut captures) = (0, 0, 0);
    for &function in &functions {
        let range = info.function_range(function);
        let middle = (range.start.0 + range.end.0) / 2;
        for local in info.locals_at(LinkAddr(middle)) {
            locals += 1;
            pieces += local.pieces.len();
        }
        captures += info.captures(function).len();
    }
    let spent = start.elapsed();
    println!("{locals} locals in {pieces} pieces, {captures} captures in {spent:?}");
    println!("{:?}", info.damage());
}

fn types(info: &DebugInfo, only: Option<&str>) {
    let types = info.types();
    let name = |index: TypeIdx| types.name(index);
    for (index, ty) in types.iter() {
        if only.is_some_and(|only| only != name(index)) {
            continue;
        }
        print!("{} {} {:?} size {}", index.0, name(index), ty.kind, ty.size);
        if ty.runtime_type != 0 {
            print!(" at {:#x}", ty.runtime_type);
        }
        for (label, part) in [("key", ty.key), ("elem", ty.elem), ("inner", ty.inner)] {
            if let Some(part) = part {
                print!(" {label} {}", name(part));
            }
        }
        println!(" count {}", ty.count);
        for field in types.fields(index) {
            let mark = if field.embedded { " (embedded)" } else { "" };
            let field_name = types.field_name(field);
            println!("  {:5} {field_name} {}{mark}", field.offset, name(field.ty));
        }
    }
}

fn locals(info: &DebugInfo, pc: LinkAddr) {
    match info.function_at(pc) {
        Some(function) => println!("{}", info.function_name(function)),
        None => println!("no function there"),
    }
    for local in info.locals_at(pc) {
        let ty = info.types().name(local.ty);
        let role = match (local.is_param, local.is_result) {
            (_, true) => "result",
            (true, _) => "param",
            _ => "local",
        };
        println!(
            "  {role} {} {ty} {:?} {:?}",
            local.name, local.inlined, local.dict_index
        );
        for piece in local.pieces {
            println!(
                "    +{} {} bytes {:?}",
                piece.offset_in_variable, piece.size, piece.place
            );
        }
    }
}
