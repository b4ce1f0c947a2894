"""What the lab's own accuracy and speed are measured with: goals, each with its figure and its bound."""
