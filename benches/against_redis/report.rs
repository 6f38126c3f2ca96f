//! Figures and tables.

/// The middle one of some figures; 0 without any.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

/// The geometric mean; 0 without figures.
pub fn geometric_mean(figures: &[f64]) -> f64 {
    if figures.is_empty() {
        return 0.0;
    }
    (figures.iter().map(|figure| figure.ln()).sum::<f64>() / figures.len() as f64).exp()
}

/// A number with its thousands apart.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints a table row.
pub fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}
