//! What people see: each page is a struct of plain data and a template. No decision is made here.
