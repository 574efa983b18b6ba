"""Traffic: from the lines of CloudFront's access logs to statistics of an hour that can be added up."""
