"""The specimen: four services, their balancers and their gRPC twin. Nothing here imports lab."""
