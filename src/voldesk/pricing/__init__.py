"""Values of single options: array functions, frozen parameters in, arrays (and a status) out."""
