"""The dev server: production's handlers over an AWS that lives in this process."""
