"""The paper's three steps: generators that change a model and yield a row a step."""
