"""S3 and CloudFront: where pages are served from, and the theme they are made with."""
