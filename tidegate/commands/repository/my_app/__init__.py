"""The functions of my_app, a module for each thing that they are about."""
